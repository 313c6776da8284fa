//! Tasks that take the ends of others, whichever these are.

use super::*;

fn takes<'a>(ends: &'a [TaskId]) -> Spec<'a> {
    Spec { ends, ..Spec::PLAIN }
}

/// a, b → c, which takes their ends
#[test]
fn a_task_that_takes_ends_starts_when_all_have_ended_whichever_way() {
    let mut play = Play::with_workers(1);
    let (a, b) = (play.add(Spec::PLAIN).0, play.add(Spec::PLAIN).0);
    let c = play.add_waiting(takes(&[a, b, a]));
    assert_eq!(play.fail(a, W0), [ended(a, End::Failed)]);
    play.drop_handle(a);
    assert_eq!(play.finish(b, W0), [done(b), start(c, W0)]);
    assert_eq!(play.finish(c, W0), [done(c), release(a, &[])], "its error is an argument until then");
}

#[test]
fn the_end_of_a_task_that_has_failed_can_still_be_taken() {
    let mut play = Play::with_workers(1);
    let a = play.add(Spec::PLAIN).0;
    play.fail(a, W0);
    let (c, actions) = play.add(takes(&[a]));
    assert_eq!(actions, [start(c, W0)]);
    let (d, actions) = play.add(Spec { inputs: &[a], ends: &[a], ..Spec::PLAIN });
    assert_eq!(actions, [ended(d, End::Upstream { via: a })], "it has to give a value as well");
}

/// a → b (its value) → c (the end of b) → d (its value)
#[test]
fn failure_spreads_up_to_who_takes_the_end() {
    let mut play = Play::with_workers(1);
    let a = play.add(Spec::PLAIN).0;
    let b = play.add_waiting(Spec { inputs: &[a], ..Spec::PLAIN });
    let c = play.add_waiting(takes(&[b]));
    let d = play.add_waiting(Spec { inputs: &[c], ..Spec::PLAIN });
    let actions = play.fail(a, W0);
    assert_eq!(actions, [ended(a, End::Failed), ended(b, End::Upstream { via: a }), start(c, W0)]);
    assert_eq!(play.finish(c, W0), [done(c), start(d, W0)]);
}

#[test]
fn a_cancelled_task_sets_free_who_takes_its_end() {
    let mut play = Play::with_workers(1);
    play.fill(1);
    let a = play.add_waiting(Spec::PLAIN);
    let b = play.add_waiting(Spec { priority: 1, ..takes(&[a]) });
    let c = play.add_waiting(Spec { priority: 1, ..takes(&[b]) });
    assert_eq!(play.feed(Event::Cancel { tasks: &[b, a] }), [ended(b, End::Cancelled), ended(a, End::Cancelled)]);
    let first = play.first_on(W0);
    assert_eq!(play.finish(first, W0)[1], start(c, W0));
}

#[test]
fn those_that_take_ends_are_set_free_in_the_order_in_which_they_were_added() {
    let mut play = Play::with_workers(4);
    let a = play.add(Spec::PLAIN).0;
    let takers: Vec<TaskId> = (0..3).map(|_| play.add_waiting(takes(&[a]))).collect();
    let by = (0..4).map(WorkerId::new).find(|&worker| play.scheduler.in_flight(worker) > 0);
    let actions = play.fail(a, by.expect("it runs"));
    let started = actions.iter().filter_map(|action| match action {
        Action::Start { task, .. } => Some(*task),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>(), takers);
}

/// The value of a stayed on a worker, which is lost.
#[test]
fn a_value_that_is_lost_is_an_end_like_any_other() {
    let mut play = Play::with_workers(2);
    let (a, b) = (play.add(Spec::PLAIN).0, play.add(Spec::PLAIN).0);
    let (by, other) = if play.first_on(W0) == a { (W0, W1) } else { (W1, W0) };
    let c = play.add_waiting(takes(&[a, b]));
    let d = play.add_waiting(Spec { inputs: &[a, b], ..Spec::PLAIN });
    play.finish_resident(a, by, 100);
    play.lose(by);
    let actions = play.finish(b, other);
    assert!(actions.contains(&start(c, other)), "{actions:?}");
    assert!(actions.contains(&ended(d, End::ValueLost { value: a })), "{actions:?}");
}

/// wide → a; wide → b (its end) → c
#[test]
fn giving_up_spares_who_takes_the_end_of_what_cannot_run() {
    let mut play = Play::with_workers(1);
    let wide = play.add_waiting(wide(2));
    let a = play.add_waiting(Spec { inputs: &[wide], ..Spec::PLAIN });
    let b = play.add_waiting(takes(&[wide]));
    let c = play.add_waiting(Spec { inputs: &[b], ..Spec::PLAIN });
    let actions = play.feed(Event::GiveUp);
    assert_eq!(actions, [ended(wide, End::Stalled), ended(a, End::Stalled), start(b, W0)]);
    assert_eq!(play.finish(b, W0), [done(b), start(c, W0)]);
}

/// A chain in which each takes the end of the one before, and none can run.
#[test]
fn a_long_chain_of_ends_is_followed_without_recursion() {
    let mut play = Play::with_workers(2);
    play.lose(W1);
    let a = play.add(Spec::PLAIN).0;
    let mut last = a;
    play.feed(Event::Hold);
    for _ in 0..100_000 {
        last = play.add_waiting(Spec { ends: &[last], ..wide(2) });
    }
    let actions = play.fail(a, W0);
    assert_eq!(actions.len(), 100_001);
    assert_eq!(actions.last(), Some(&ended(last, End::Infeasible)));
    assert_eq!(play.feed(Event::Resume), []);
}
