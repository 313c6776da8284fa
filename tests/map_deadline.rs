//! Maps past their deadlines, where results of many bytes have stayed on workers.

use distwq::prelude::*;
use std::thread;
use std::time::{Duration, Instant};

/// More than a worker sends along with the news that a task has ended.
const MANY: usize = 200_000;

/// So long an item takes that is tried again: no test waits for it.
const LONG: Duration = Duration::from_secs(20);

/// Many bytes; of the item `fails` none at the first attempt, and late at the next ones.
#[remote]
fn heavy(ctx: &Context, item: u8, fails: u8) -> Result<Vec<u8>, String> {
    if item != fails {
        return Ok(vec![item; MANY]);
    }
    let begun = Instant::now();
    while ctx.attempt() > 1 && !ctx.cancelled() && begun.elapsed() < LONG {
        thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{item} fails"))
}

fn is_late<T>(result: &Result<T, TaskError>) -> bool {
    matches!(result, Err(TaskError::LimitReached { limit: Limit::Deadline, .. }))
}

/// Items 4 to 7 end in time, on a worker; that one of them has failed is seen later.
#[distwq::test(ranks = [2, 3, 4])]
fn past_its_deadline_a_map_tries_nothing_again_that_has_failed_on_a_worker(cluster: &Cluster) {
    for fails in [5, 100] {
        let begun = Instant::now();
        let limit = Duration::from_secs(1);
        let mut map = cluster.map(|item| heavy::call(item, fails).retries(3), 0..8).chunk(4).deadline(limit);
        assert!(map.next().is_some_and(|result| result.is_ok()));
        thread::sleep(limit.saturating_sub(begun.elapsed()) + Duration::from_millis(50));
        let results: Vec<_> = map.by_ref().take(20).collect();
        assert!(begun.elapsed() < LONG / 2, "it has waited for the item: {:?}", begun.elapsed());
        let values = results.iter().filter(|result| result.is_ok()).count();
        let failures: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        if fails == 5 {
            assert!(failures.len() == 2 && failures[0].message() == Some("5 fails"), "{values} values, {failures:?}");
            assert!(results.last().is_some_and(is_late) && values == 6, "{values} values, {failures:?}");
        } else {
            assert!(failures.is_empty() && values == 7, "the deadline changes nothing: {values} values, {failures:?}");
        }
        assert!(map.next().is_none());
    }
}
