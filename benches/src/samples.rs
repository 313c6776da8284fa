//! Many measurements of one thing.

/// The median of some measurements, the upper one of two.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn median(mut samples: Vec<f64>) -> f64 {
    assert!(!samples.is_empty(), "a median needs a measurement");
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}
