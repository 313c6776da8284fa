//! What the controller tells of what goes on, and why a task has not ended.

use super::*;
use crate::outcome::status::{Reason, WaitsFor, WorkerPhase};
use crate::wire::report::Report;

const SECOND: Ns = 1_000_000_000;

impl Play {
    /// A worker says that it has run these tasks for so many seconds.
    fn runs(&mut self, rank: Rank, tasks: &[(TaskId, u64)]) {
        let running = tasks.iter().map(|(task, seconds)| (*task, seconds * SECOND)).collect();
        self.say(rank, &ToController::Report(Report { running, ..Report::default() }));
    }

    fn explain(&self, task: TaskId) -> String {
        self.controller.explain(task).to_string()
    }
}

/// ```text
/// a, b: given to each worker     c → d → e
/// ```
#[test]
fn the_status_tells_who_runs_what_and_what_the_others_wait_for() {
    let mut play = Play::new();
    let given = play.fill();
    let [on_first, on_second] = [W1, W2].map(|rank| {
        let tasks = given.iter().filter(|(on, _)| *on == rank);
        tasks.map(|(_, task)| *task).collect::<Vec<_>>()
    });
    let label = Options { label: Some("north"), ..Options::default() };
    let c = play.add_new(&NewTask { options: Some(&label), ..plain(&SINGLE) });
    let d = play.add(&SINGLE, &[c], 0);
    let e = play.add(&SINGLE, &[d], 0);
    play.tell(Input::ReportsWanted);
    play.runs(W1, &[(on_first[0], 3), (TaskId::new(0, 99), 1)]);

    let status = play.controller.status();
    assert_eq!((status.pending, status.given, status.workers.len()), (7, 4, 2));
    let [one, two] = &status.workers[..] else { unreachable!() };
    assert_eq!((one.phase, one.running.len(), one.ahead), (WorkerPhase::Serving, 1, 1), "{status}");
    assert_eq!((two.phase, two.running.len(), two.ahead), (WorkerPhase::Silent, 0, 2), "{status}");
    let waiting: Vec<_> = status.waiting.iter().map(|waiting| (waiting.what, waiting.count)).collect();
    assert_eq!(waiting, [(WaitsFor::Room, 1), (WaitsFor::Tasks, 2)]);
    let text = status.to_string();
    let [first, second] = [on_first[0], on_second[0]].map(TaskId::serial);
    let north = format!("f #{} \"north\"", c.serial());
    for line in [
        "7 tasks have not ended".to_owned(),
        format!("rank 1 (host host1) runs f #{first} for 3.0 s; 1 task ahead of time"),
        "rank 2 (host host2) does not say what it runs; 2 tasks ahead of time".to_owned(),
        format!("1 task waits for a worker with room: {north} waits for room on one of 2 workers"),
        format!(
            "2 tasks wait for other tasks: f #{d} waits for {north}; f #{e} waits for f #{d}",
            d = d.serial(),
            e = e.serial()
        ),
    ] {
        assert!(text.lines().any(|of| of == line), "{line:?} is missing in:\n{text}");
    }

    assert_eq!(
        play.explain(e),
        format!(
            "f #{e} waits for f #{d}; f #{d} waits for {north}; {north} waits for room on one of 2 workers",
            d = d.serial(),
            e = e.serial()
        )
    );
    let before = format!("f #{} was given to rank 1 (host host1), which has 1 task before it", on_first[1].serial());
    assert_eq!(play.explain(on_first[1]), before);
    assert_eq!(play.explain(on_first[0]), format!("f #{first} has run on rank 1 (host host1) for 3.0 s"));
    let silent = format!("f #{second} was given to rank 2 (host host2), which does not say what it runs");
    assert_eq!(play.explain(on_second[0]), silent);

    play.runs(W2, &[]);
    let inputs = format!("f #{second} was given to rank 2 (host host2), which begins it when it has its inputs");
    assert_eq!(play.explain(on_second[0]), inputs);
    play.lose(W2);
    assert_eq!(play.controller.status().workers[1].phase, WorkerPhase::Lost);
}

#[test]
fn a_task_that_has_ended_is_explained_by_its_end() {
    let mut play = Play::new();
    let given = play.fill();
    let after = play.add(&SINGLE, &[given[1].1], 0);
    play.finish(given[0].0, given[0].1);
    play.fail(given[1].0, given[1].1, "the disk is full");
    assert_eq!(play.controller.explain(given[0].1).steps[0].reason, Reason::Done);
    for task in [given[1].1, after] {
        let [step] = &play.controller.explain(task).steps[..] else { panic!("it has ended") };
        assert!(matches!(&step.reason, Reason::Failed { error } if error.contains("the disk is full")), "{step}");
    }
}

#[test]
fn a_group_is_told_by_how_many_of_its_ranks_are_ready_or_run() {
    let mut play = Play::new();
    let task = play.add(&GROUP, &[], 0);
    let wider = play.add(&GROUP, &[], 0);
    play.told();
    play.runs(W1, &[]);
    play.runs(W2, &[]);
    assert_eq!(play.explain(task), "g #1 was given to 2 ranks, 0 of which have its inputs");
    play.say(W1, &ToController::Ready { epoch: 1 });
    assert_eq!(play.explain(task), "g #1 was given to 2 ranks, 1 of which have its inputs");
    play.say(W2, &ToController::Ready { epoch: 1 });
    play.runs(W1, &[(task, 2)]);
    play.runs(W2, &[(task, 4)]);
    assert_eq!(play.explain(task), "g #1 has run on 2 ranks, rank 1 (host host1) among them, for 4.0 s");
    assert_eq!(play.explain(wider), "g #2 waits for 2 ranks at once, 0 of 2 are free");
}

#[test]
fn what_is_past_its_limit_and_what_pauses_is_told_so() {
    let mut play = Play::with_workers(&[W1]);
    let terms = Terms { run_limit_ns: Some(SECOND), ..Terms::NONE };
    let options = Options { terms, ..Options::default() };
    let slow = play.add_new(&NewTask { options: Some(&options), ..plain(&SINGLE) });
    play.say(W1, &ToController::Overran { task: slow, started_ns: 1, failure: None });
    let waits = play.add(&SINGLE, &[], 0);
    play.runs(W1, &[(slow, 2)]);
    let status = play.controller.status();
    let [worker] = &status.workers[..] else { panic!("{status}") };
    assert_eq!((worker.running.len(), &worker.past_limit[..], worker.ahead), (0, &["f #1".to_owned()][..], 0));
    assert!(status.to_string().contains(") has not returned from f #1, past its limit"), "{status}");
    assert_eq!(play.explain(waits), "f #2 waits until a worker returns from what has reached a limit");
    play.done(W1, slow, Err(Failure::Limit { limit_ns: SECOND }));
    play.finish(W1, waits);
    let terms = Terms { backoff_ns: 3 * SECOND, ..Terms::NONE };
    let options = Options { retries: 1, terms, ..Options::default() };
    let pauses = play.add_new(&NewTask { options: Some(&options), ..plain(&SINGLE) });
    play.fail(W1, pauses, "not yet");
    assert_eq!(play.explain(pauses), "f #3 pauses for 3.0 s before its next attempt");
    let status = play.controller.status();
    assert_eq!(status.waiting.iter().map(|of| (of.what, of.count)).collect::<Vec<_>>(), [(WaitsFor::Time, 1)]);
}
