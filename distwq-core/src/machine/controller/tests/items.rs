//! Tasks that are made of items of a map.

use super::super::goes_again;
use super::super::input::{FailedItem, ItemsOfMap};
use super::*;
use crate::codec::frame::Messages;
use crate::outcome::failure::{RetryOn, Wish};
use crate::task::items::Items;
use crate::wire::attempt::Run;
use crate::wire::report::Measured;

const FIVE: Items = Items { map: 2, first: 10, count: 5, fold: None };

impl Play {
    fn add_items(&mut self, items: Items, retries: u32, failed: Option<FailedItem<'_>>) -> TaskId {
        let options = Options { retries, ..Options::default() };
        let new = NewTask { options: Some(&options), ..plain(&SINGLE) };
        let of = ItemsOfMap { items, failed };
        self.tell(Input::Items { new: &new, plain: Encoded::Few(&[1, 2]), of });
        self.out.added
    }

    /// What a worker is told of the next attempt: whom, the items, the number.
    fn told_items(&mut self) -> (Rank, Option<Items>, u32) {
        let (to, frame) = self.frames().pop().expect("a task has started");
        let run = Messages::of(&frame).next_fixed(Run::read).expect("it is told first");
        let tail = run.tail().expect("it decodes").expect("it is of items");
        (to, tail.items, tail.attempt)
    }
}

#[test]
fn a_worker_is_told_of_which_items_a_task_is_made_at_each_attempt() {
    let mut play = Play::with_workers(&[W3]);
    let task = play.add_items(FIVE, 1, None);
    assert_eq!(play.told_items(), (W3, Some(FIVE), 1));
    play.fail(W3, task, "it fails");
    assert_eq!(play.told_items(), (W3, Some(FIVE), 2));
}

#[test]
fn each_item_counts_and_the_numbers_of_other_tasks_do_not_hang_on_them() {
    let mut play = Play::with_workers(&[W3]);
    let first = play.add_new(&plain(&SINGLE));
    let [well, badly] = [0, 1].map(|_| play.add_items(FIVE, 0, None));
    let second = play.add_new(&plain(&SINGLE));
    assert_eq!((first.serial(), second.serial()), (1, 2));
    assert_eq!((well.serial(), badly.serial()), (1 << 31 | 1, 1 << 31 | 2));
    assert_eq!(play.controller.counts(), (12, 0, 0));
    assert_eq!(play.controller.stats(Measured::default()).outstanding, 12);
    play.finish(W3, first);
    play.finish(W3, well);
    play.fail(W3, badly, "all of it");
    assert_eq!(play.controller.counts(), (12, 6, 5));
    assert_eq!(play.controller.stats(Measured::default()).outstanding, 1);
    let error = play.error(badly).expect("it has failed");
    assert!(error.to_string().contains("all of it"), "{error}");
}

#[test]
fn an_item_that_has_failed_with_others_is_tried_again_elsewhere() {
    let mut play = Play::new();
    let together = play.add_items(FIVE, 2, None);
    let (first, ..) = play.told_items();
    play.finish(first, together);
    let failure = Failure::Returned("not here".to_owned());
    let error = play.controller.error_of_item(together, &failure);
    assert_eq!(error.site().map(|site| (site.rank, site.attempts)), Some((Some(first), 1)));
    let alone = Items { first: 12, count: 1, ..FIVE };
    let again = play.add_items(alone, 2, Some(FailedItem { with: together, failure: &failure }));
    let (second, items, attempt) = play.told_items();
    assert_eq!((items, attempt), (Some(alone), 2));
    assert_ne!(second, first);
    play.fail(second, again, "nor here");
    assert_eq!(play.told_items().2, 3);
    assert_eq!(play.controller.attempts(again), 3);
}

#[test]
fn an_item_goes_on_as_it_has_asked_for_when_it_failed_with_others() {
    let mut play = Play::new();
    let together = play.add_items(FIVE, 0, None);
    let (first, ..) = play.told_items();
    play.finish(first, together);
    let alone = Items { first: 12, count: 1, ..FIVE };
    let asks = |wish| Failure::Asks { message: "no".to_owned(), wish };
    let failure = asks(Wish::NotHere);
    play.add_items(alone, 0, Some(FailedItem { with: together, failure: &failure }));
    let (second, items, attempt) = play.told_items();
    assert_eq!((items, attempt), (Some(alone), 1), "it is no further attempt");
    assert_ne!(second, first);
    let failure = asks(Wish::Busy { delay_ns: 50 });
    let busy = play.add_items(alone, 0, Some(FailedItem { with: together, failure: &failure }));
    assert!(play.told().is_empty(), "it pauses");
    play.now += 50;
    play.tell(Input::TurnEnds);
    assert_eq!((play.told_items().1, play.controller.attempts(busy)), (Some(alone), 1));
}

#[test]
fn whether_an_item_goes_again_hangs_on_its_failure_and_its_attempts() {
    let asks = |wish| Failure::Asks { message: "no".to_owned(), wish };
    let returned = Failure::Returned("no".to_owned());
    for (failure, retry_on, has_attempts, goes) in [
        (returned.clone(), RetryOn::DEFAULT, true, true),
        (returned.clone(), RetryOn::DEFAULT, false, false),
        (returned, RetryOn::PANICS, true, false),
        (asks(Wish::Permanent), RetryOn::ALL, true, false),
        (asks(Wish::NotHere), RetryOn::PANICS, false, true),
        (asks(Wish::Busy { delay_ns: 1 }), RetryOn::PANICS, false, true),
    ] {
        assert_eq!(goes_again(&failure, retry_on, has_attempts), goes, "{failure:?}");
    }
}
