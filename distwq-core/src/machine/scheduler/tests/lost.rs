//! What the loss of a worker does to its tasks and values.

use super::*;

#[test]
fn a_lost_worker_returns_its_task_to_ready() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec { retries: 1, ..Spec::PLAIN }, W1);
    assert_eq!(play.lose(W1), [start_again(a, W0, 2)]);
    assert_eq!(play.finish(a, W0), [done(a)]);
    assert_eq!(play.scheduler.workers(), 1);
}

#[test]
fn what_had_not_begun_goes_back_free_of_charge() {
    let mut play = Play::with_workers(1);
    let [a, b] = play.fill(1)[..] else { unreachable!() };
    assert_eq!(play.join(W1, 1), []);
    assert_eq!(play.lose(W0), [ended(a, End::WorkerLost { worker: W0 }), start(b, W1)]);
}

/// ```text
/// a ⇢ b, c, d    b has begun, c is ahead, d waits
/// ```
#[test]
fn followers_end_with_their_worker() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let [b, c, d] = [0, 1, 2].map(|_| play.add_waiting(Spec { follow: Some(a), retries: 3, ..Spec::PLAIN }));
    assert_eq!(play.finish(a, W1), [done(a), start(b, W1), start(c, W1)]);
    let lost = End::WorkerLost { worker: W1 };
    assert_eq!(play.lose(W1), [ended(c, lost), ended(b, lost), ended(d, lost)]);
    let (e, actions) = play.add(Spec { follow: Some(a), ..Spec::PLAIN });
    assert_eq!(actions, [ended(e, lost)]);
}

/// ```text
/// a (on 1) ─┬→ c     the value of a is gone
/// b ────────┘
/// ```
#[test]
fn a_task_whose_argument_was_lost_ends_with_the_value_named() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    let b = play.add_started(Spec::PLAIN, W0);
    let c = play.add_waiting(Spec { inputs: &[a, b], ..Spec::PLAIN });
    assert_eq!(play.finish_resident(a, W1, 100), [done(a)]);
    assert_eq!(play.lose(W1), []);
    assert_eq!(play.finish(b, W0), [done(b), ended(c, End::ValueLost { value: a })]);
    assert_eq!(play.drop_handle(a), [release(a, &[])]);
}

/// ```text
/// a (on 1, a copy on 0) → c
/// ```
#[test]
fn a_copy_saves_a_value_from_the_loss_of_its_maker() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    assert_eq!(play.finish_resident(a, W1, 100), [done(a)]);
    assert_eq!(play.feed(Event::Copied { task: a, worker: W0 }), []);
    assert_eq!(play.lose(W1), []);
    assert_eq!(play.scheduler.holders(a).collect::<Vec<_>>(), [W0]);
    play.add_started(Spec { inputs: &[a], ..Spec::PLAIN }, W0);
}

#[test]
fn when_the_last_worker_is_lost_everything_ends() {
    let mut play = Play::with_workers(1);
    let [a, b] = play.fill(1)[..] else { unreachable!() };
    let c = play.add_waiting(Spec { inputs: &[b], ..Spec::PLAIN });
    let d = play.add_waiting(Spec::PLAIN);
    let ends = play.lose(W0);
    assert_eq!(ends.len(), 4);
    for end in [
        ended(a, End::WorkerLost { worker: W0 }),
        ended(b, End::Infeasible),
        ended(c, End::Upstream { via: b }),
        ended(d, End::Infeasible),
    ] {
        assert!(ends.contains(&end), "{end:?} in {ends:?}");
    }
    let (e, actions) = play.add(Spec::PLAIN);
    assert_eq!(actions, [ended(e, End::Infeasible)]);
}

#[test]
fn a_lost_worker_never_joins_again() {
    let mut play = Play::with_workers(2);
    assert_eq!(play.lose(W1), []);
    play.misfit(Event::Joined { worker: W1, slots: 1 });
    play.misfit(Event::Lost { worker: W1 });
}

/// ```text
/// a (on 1, copies on 0 and 2) → b, c
/// ```
#[test]
fn a_copy_that_did_not_come_saves_nothing_but_is_named_at_the_release() {
    let mut play = Play::with_workers(3);
    let a = play.add_started(Spec::PLAIN, W2);
    assert_eq!(play.finish_resident(a, W2, 100), [done(a)]);
    for worker in [W0, W1] {
        assert_eq!(play.feed(Event::Copied { task: a, worker }), []);
    }
    assert_eq!(play.lose(W2), []);
    assert_eq!(play.feed(Event::Missing { task: a, worker: W0 }), []);
    assert_eq!(play.scheduler.holders(a).collect::<Vec<_>>(), [W1]);
    play.misfit(Event::Missing { task: a, worker: W0 });
    assert_eq!(play.feed(Event::Missing { task: a, worker: W1 }), []);
    let (b, actions) = play.add(Spec { inputs: &[a], ..Spec::PLAIN });
    assert_eq!(actions, [ended(b, End::ValueLost { value: a })]);
    assert_eq!(play.drop_handle(a), [release(a, &[W0, W1])]);
}

#[test]
fn a_worker_that_gets_its_copy_after_all_is_a_holder_again() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    assert_eq!(play.finish_resident(a, W1, 100), [done(a)]);
    for event in [
        Event::Copied { task: a, worker: W0 },
        Event::Missing { task: a, worker: W0 },
        Event::Copied { task: a, worker: W0 },
    ] {
        assert_eq!(play.feed(event), []);
    }
    assert_eq!(play.lose(W1), []);
    assert_eq!(play.scheduler.holders(a).collect::<Vec<_>>(), [W0]);
    assert_eq!(play.drop_handle(a), [release(a, &[W0])]);
}

#[test]
fn a_value_that_the_controller_has_as_well_is_not_lost() {
    let mut play = Play::with_workers(2);
    let a = play.add_started(Spec::PLAIN, W1);
    assert_eq!(play.finish_resident(a, W1, 100), [done(a)]);
    assert_eq!(play.feed(Event::Fetched { task: a }), []);
    play.misfit(Event::Fetched { task: a });
    assert_eq!(play.scheduler.holders(a).collect::<Vec<_>>(), [W1]);
    assert_eq!(play.lose(W1), []);
    let b = play.add_started(Spec { inputs: &[a], ..Spec::PLAIN }, W0);
    assert_eq!(play.finish(b, W0), [done(b)]);
}
