//! Lists in one arena.

use super::super::links::{Chain, ITEMS_MAX, Links, Stack};
use super::*;

fn slots(indices: &[u32]) -> Vec<TaskSlot> {
    indices.iter().copied().map(TaskSlot::new).collect()
}

/// A list to which these slots were added.
fn list(links: &mut Links, indices: &[u32]) -> Stack<TaskSlot> {
    let mut list = Stack::EMPTY;
    slots(indices).into_iter().for_each(|slot| list.push(links, slot));
    list
}

fn newest_first(links: &Links, list: Stack<TaskSlot>) -> Vec<TaskSlot> {
    list.iter(links).collect()
}

#[test]
fn a_list_of_any_length_gives_its_items_newest_first_and_reversed_oldest_first() {
    let mut links = Links::default();
    for length in 0..6 {
        let added: Vec<u32> = (0..length).map(|index| index * index).collect();
        let mut list = list(&mut links, &added);
        let oldest_first = slots(&added);
        let expected: Vec<TaskSlot> = oldest_first.iter().rev().copied().collect();
        assert_eq!(newest_first(&links, list), expected);
        list = list.reversed(&mut links);
        assert_eq!(newest_first(&links, list), oldest_first);
        for slot in oldest_first {
            assert_eq!(list.pop(&mut links), Some(slot));
        }
        assert_eq!((list.pop(&mut links), list.is_empty(), links.used()), (None, true, 0));
    }
}

#[test]
fn lists_do_not_disturb_each_other_and_a_list_of_one_takes_no_room() {
    let mut links = Links::default();
    let greatest = ITEMS_MAX as u32 - 1;
    let single = list(&mut links, &[greatest]);
    assert_eq!((links.used(), single.only()), (0, Some(TaskSlot::new(greatest))));
    let (mut first, second) = (list(&mut links, &[1, 2, 3]), list(&mut links, &[4, 5]));
    assert_eq!(first.pop(&mut links), Some(TaskSlot::new(3)));
    let mut workers = Stack::EMPTY;
    [W1, W0, W3].into_iter().for_each(|worker| workers.push(&mut links, worker));
    let all = [single, first, second].map(|list| newest_first(&links, list));
    assert_eq!(all, [slots(&[greatest]), slots(&[2, 1]), slots(&[5, 4])]);
    assert_eq!(workers.iter(&links).collect::<Vec<_>>(), [W3, W0, W1]);
    assert_eq!((links.used(), first.only(), workers.only()), (4, None, None));
}

#[test]
fn a_chain_of_any_length_gives_its_items_from_either_end_and_leaves_nothing() {
    let mut links = Links::default();
    for length in 0..6 {
        let added: Vec<u32> = (0..length).map(|index| 7 * index).collect();
        let oldest_first = slots(&added);
        let newest_first: Vec<TaskSlot> = oldest_first.iter().rev().copied().collect();
        let chain = |links: &mut Links| {
            let (newest, behind) = match added.split_last() {
                Some((newest, behind)) => (Some(TaskSlot::new(*newest)), list(links, behind)),
                None => (None, Stack::EMPTY),
            };
            Chain { newest, behind }
        };
        let mut one = chain(&mut links);
        assert_eq!(links.used(), added.len().saturating_sub(2), "two take no room in the arena");
        assert_eq!(std::iter::from_fn(|| one.pop(&mut links)).collect::<Vec<_>>(), newest_first);
        assert_eq!(chain(&mut links).iter(&links).collect::<Vec<_>>(), newest_first);
        links = Links::default();
        let mut reversed = chain(&mut links).reversed(&mut links);
        assert_eq!(std::iter::from_fn(|| reversed.pop(&mut links)).collect::<Vec<_>>(), oldest_first);
        assert_eq!((reversed.pop(&mut links), links.used()), (None, 0));
    }
}

/// All cells are in use but for four that were given back.
#[test]
fn room_is_made_for_what_does_not_fit_into_what_is_free() {
    let mut links = Links::default();
    let mut all = list(&mut links, &[0; 2]);
    while links.used() < links.room() || links.used() < 16 {
        all.push(&mut links, TaskSlot::new(0));
    }
    let room = links.room();
    (0..4).for_each(|_| assert!(all.pop(&mut links).is_some()));
    links.reserve(4);
    assert_eq!(links.room(), room);
    links.reserve(5);
    assert!(links.room() > room);
}
