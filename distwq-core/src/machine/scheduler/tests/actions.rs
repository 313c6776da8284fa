//! Actions as they are taken, and their lists.

use super::*;

#[test]
fn actions_come_in_their_order_also_when_more_come_meanwhile() {
    let mut scheduler = Scheduler::new(Settings::default());
    let mut actions = Actions::default();
    let task = |slot: u32| TaskId::new(slot, slot + 1);
    scheduler.handle(0, Event::Joined { worker: W0, slots: 1 }, &mut actions);
    for slot in 0..2 {
        let inputs = [task(0)];
        let spec = Spec { inputs: &inputs[..slot as usize], ..Spec::PLAIN };
        scheduler.handle(0, Event::Added { task: task(slot), spec: &spec }, &mut actions);
    }
    assert_eq!(actions.len(), 1);
    assert_eq!(actions.next(), Some(start(task(0), W0)));
    // Its end takes the other one along.
    scheduler.handle(0, Event::Failed { worker: W0, task: task(0), ran_ns: 1, retry: Retry::Never }, &mut actions);
    assert_eq!(actions.len(), 2);
    assert_eq!(actions.next(), Some(ended(task(0), End::Failed)));
    scheduler.handle(0, Event::Dropped { tasks: &[task(0)] }, &mut actions);
    scheduler.handle(0, Event::Added { task: task(2), spec: &Spec::PLAIN }, &mut actions);
    let rest = [
        ended(task(1), End::Upstream { via: task(0) }),
        Action::Release { task: task(0), holders: Vec::new() },
        start(task(2), W0),
    ];
    assert_eq!(actions.by_ref().collect::<Vec<_>>(), rest);
    assert!(actions.is_empty());
    // Those that come after all were taken begin anew.
    scheduler.handle(0, Event::Dropped { tasks: &[task(1)] }, &mut actions);
    assert_eq!((actions.len(), actions.next()), (1, Some(Action::Release { task: task(1), holders: Vec::new() })));
    assert_eq!(actions.next(), None);
}

/// Two values on workers are released, and a group starts, before the first of these
/// actions is taken.
#[test]
fn each_action_has_its_own_list_until_all_are_taken() {
    let mut play = Play::with_workers(3);
    let [a, b] = [W2, W1].map(|worker| play.add_started(Spec::PLAIN, worker));
    for (task, worker) in [(a, W2), (b, W1)] {
        assert_eq!(play.finish_resident(task, worker, 10), [done(task)]);
    }
    play.feed(Event::Copied { task: a, worker: W0 });
    let mut actions = Actions::default();
    assert!(play.scheduler.handle(0, Event::Dropped { tasks: &[a, b] }, &mut actions));
    let c = play.next_id();
    assert!(play.scheduler.handle(0, Event::Added { task: c, spec: &wide(3) }, &mut actions));
    let all = [release(a, &[W0, W2]), release(b, &[W1]), start_group(c, &[W0, W1, W2])];
    assert_eq!(actions.by_ref().collect::<Vec<_>>(), all);
    // Their memory is used again, from the begin.
    let result = Ok(Made { bytes: 10, resident: true });
    assert!(play.scheduler.handle(0, Event::GroupFinished { task: c, result }, &mut actions));
    assert!(play.scheduler.handle(0, Event::Dropped { tasks: &[c] }, &mut actions));
    assert_eq!(actions.collect::<Vec<_>>(), [done(c), release(c, &[W0])]);
}
