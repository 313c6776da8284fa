//! A parameter sweep that stops at the first good answer: for which growth rate does the
//! logistic map x → r·x·(1 - x) repeat after three steps? What waits then is cancelled,
//! and what runs looks now and then whether it is.

use distwq::prelude::*;

/// After how many steps the orbit repeats once it has settled, up to 64; 0 if it does not
/// by then. An error if nobody wants to know any more.
#[remote]
fn period(ctx: &Context, rate: f64) -> Result<u32, String> {
    let step = |x: f64| rate * x * (1.0 - x);
    let mut x = 0.5;
    for _ in 0..20 {
        if ctx.cancelled() {
            return Err("stopped early".to_owned());
        }
        x = (0..1_000).fold(x, |x, _| step(x));
    }
    let mut orbit = x;
    let repeats = (1..=64).find(|_| {
        orbit = step(orbit);
        (orbit - x).abs() < 1e-9
    });
    Ok(repeats.unwrap_or(0))
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    // From where nothing repeats for sure to where everything is over.
    let rates: Vec<f64> = (0..1_000).map(|i| 3.6 + 0.4 * f64::from(i) / 1_000.0).collect();
    let batch = cluster.submit_all(rates.iter().map(|&rate| period::call(rate)));
    let (mut found, mut looked_at, mut stopped) = (None, 0, 0);
    for (index, result) in &batch {
        looked_at += 1;
        if result? == 3 {
            found = Some(rates[index]);
            break;
        }
    }
    batch.cancel();

    let rate = found.expect("there is a window of period three");
    let window = 1.0 + 8.0_f64.sqrt()..3.8415; // where the orbit of three steps is stable
    assert!(window.contains(&rate), "{rate} is not in {window:?}");
    // Each task has ended with a period, or was stopped.
    for (_, result) in batch {
        match result {
            Ok(_) => looked_at += 1,
            Err(TaskError::Cancelled { .. }) => stopped += 1,
            Err(error) => return Err(error),
        }
    }
    assert_eq!(looked_at + stopped, rates.len());
    println!("a period of three at r = {rate}, found with {looked_at} of {} rates", rates.len());
    Ok(())
}
