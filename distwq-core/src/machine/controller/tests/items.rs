//! Tasks that are made of items of a map.

use super::super::goes_again;
use super::super::input::{FailedItem, ItemsOfMap};
use super::*;
use crate::codec::frame::Messages;
use crate::outcome::failure::{RetryOn, Wish};
use crate::task::items::Items;
use crate::wire::attempt::Run;
use crate::wire::chunk::WithoutValue;
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

    /// Items have ended, of which so many have no value.
    fn gave(&mut self, from: Rank, task: TaskId, without_value: WithoutValue) {
        let frame = given(task, without_value);
        self.tell(Input::Frame { from, frame: &frame });
    }

    /// What a worker is told of the next attempt: whom, the items, the number.
    fn told_items(&mut self) -> (Rank, Option<Items>, u32) {
        let (to, frame) = self.frames().pop().expect("a task has started");
        let run = Messages::of(&frame).next_fixed(Run::read).expect("it is told first");
        let tail = run.tail().expect("it decodes").expect("it is of items");
        (to, tail.items, tail.attempt)
    }
}

fn given(task: TaskId, without_value: WithoutValue) -> Frame {
    let mut frame = Frame::default();
    let tail = DoneTail { raw: false, without_value, outcome: Ok(Given::Resident { bytes: 9 }) };
    attempt::push(&mut frame.body, DoneFields::new(task, 1, LONG_NS), |_| true, Some(&tail));
    frame
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
    play.gave(first, together, WithoutValue { failed: 2, cancelled: 1 });
    assert_eq!(play.controller.counts(), (5, 2, 2));
    let failure = Failure::Returned("not here".to_owned());
    let error = play.controller.error_of_item(together, &failure);
    assert_eq!(error.site().map(|site| (site.rank, site.attempts)), Some((Some(first), 1)));
    let alone = Items { first: 12, count: 1, ..FIVE };
    let again = play.add_items(alone, 2, Some(FailedItem { with: together, failure: &failure }));
    let (second, items, attempt) = play.told_items();
    assert_eq!((items, attempt), (Some(alone), 2));
    assert_ne!(second, first);
    let stats = play.controller.stats(Measured::default());
    assert_eq!((play.controller.counts(), stats.cancelled, stats.outstanding), ((5, 2, 1), 1, 1), "it was counted");
    play.fail(second, again, "nor here");
    assert_eq!(play.told_items().2, 3);
    assert_eq!(play.controller.attempts(again), 3);
}

#[test]
fn an_item_goes_on_as_it_has_asked_for_when_it_failed_with_others() {
    let mut play = Play::new();
    let together = play.add_items(FIVE, 0, None);
    let (first, ..) = play.told_items();
    play.gave(first, together, WithoutValue { failed: 2, cancelled: 0 });
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
fn a_worker_that_tells_of_more_items_than_there_are_cannot_be_read() {
    let mut play = Play::with_workers(&[W3]);
    let task = play.add_items(FIVE, 0, None);
    // No further: after that its state is that of an unread frame.
    let frame = given(task, WithoutValue { failed: 4, cancelled: 2 });
    play.controller.handle(play.now, Input::Frame { from: W3, frame: &frame }, &mut play.out);
    assert!(matches!(play.out.take_halt(), Some(Halt::Unreadable { from: W3, .. })));
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
