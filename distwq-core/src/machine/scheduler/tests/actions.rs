//! Actions as they are taken, common and rare ones beside each other.

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
    // Its end takes the other one along: two rare actions.
    scheduler.handle(0, Event::Failed { worker: W0, task: task(0), ran_ns: 1, retry: false }, &mut actions);
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
