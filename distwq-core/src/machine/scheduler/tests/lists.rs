//! Lists of numbers in one arena.

use super::super::links::NONE;
use super::super::links::{Chain, ITEMS_MAX, Links};

/// A list to which these numbers were added.
fn list(links: &mut Links, numbers: &[u32]) -> u32 {
    let mut head = NONE;
    for number in numbers {
        links.push(&mut head, *number);
    }
    head
}

fn numbers(links: &Links, head: u32) -> Vec<u32> {
    links.iter(head).collect()
}

#[test]
fn a_list_of_any_length_gives_its_numbers_newest_first_and_turned_round_oldest_first() {
    let mut links = Links::default();
    for length in 0..6 {
        let added: Vec<u32> = (0..length).map(|number| number * number).collect();
        let mut head = list(&mut links, &added);
        let newest_first: Vec<u32> = added.iter().rev().copied().collect();
        assert_eq!(numbers(&links, head), newest_first);
        head = links.reverse(head);
        assert_eq!(numbers(&links, head), added);
        for number in added {
            assert_eq!(links.pop(&mut head), Some(number));
        }
        assert_eq!((links.pop(&mut head), head, links.used()), (None, NONE, 0));
    }
}

#[test]
fn lists_do_not_disturb_each_other_and_a_list_of_one_takes_no_room() {
    let mut links = Links::default();
    let single = list(&mut links, &[ITEMS_MAX - 1]);
    assert_eq!(links.used(), 0);
    let (mut first, second) = (list(&mut links, &[1, 2, 3]), list(&mut links, &[4, 5]));
    assert_eq!(links.pop(&mut first), Some(3));
    let third = list(&mut links, &[6, 7, 8]);
    let all = [single, first, second, third].map(|head| numbers(&links, head));
    assert_eq!(all, [vec![ITEMS_MAX - 1], vec![2, 1], vec![5, 4], vec![8, 7, 6]]);
    assert_eq!(links.used(), 4);
}

#[test]
fn a_chain_of_any_length_gives_its_numbers_from_either_end_and_leaves_nothing() {
    let mut links = Links::default();
    for length in 0..6 {
        let added: Vec<u32> = (0..length).map(|number| 7 * number).collect();
        let newest_first: Vec<u32> = added.iter().rev().copied().collect();
        let chain = |links: &mut Links| {
            let mut chain = Chain::EMPTY;
            added.iter().for_each(|number| links.push_behind(&mut chain.newest, &mut chain.behind, *number));
            chain
        };
        let mut one = chain(&mut links);
        assert_eq!(one.iter(&links).collect::<Vec<_>>(), newest_first);
        assert_eq!(links.used(), added.len().saturating_sub(2), "two take no room in the arena");
        assert_eq!(std::iter::from_fn(|| one.pop(&mut links)).collect::<Vec<_>>(), newest_first);
        let mut turned = chain(&mut links).turned(&mut links);
        assert_eq!(std::iter::from_fn(|| turned.pop(&mut links)).collect::<Vec<_>>(), added);
        assert_eq!((turned.pop(&mut links), links.used()), (None, 0));
    }
}
