//! A farm of power spectra: 150 tones, each a task that makes its signal and gives back
//! the peak; and beside them the cycle of the sunspots, against the spectrum that SciPy
//! gives. Neither 100,000 nor 309 points are a power of two.

use distwq::prelude::*;
use rustfft::FftPlanner;
use rustfft::num_complex::Complex;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

#[derive(Serialize, Deserialize)]
struct Spectrum {
    /// In Hz.
    bin_width: f64,
    /// In units of the signal squared per Hz.
    density: Vec<f64>,
}

impl Spectrum {
    /// The one-sided periodogram, the mean of the samples taken off.
    fn of(samples: &[f64], rate_hz: f64) -> Self {
        let count = samples.len();
        let mean = samples.iter().sum::<f64>() / count as f64;
        let mut bins: Vec<_> = samples.iter().map(|sample| Complex::from(sample - mean)).collect();
        FftPlanner::new().plan_fft_forward(count).process(&mut bins);
        let sides = |bin: usize| if bin == 0 || 2 * bin == count { 1.0 } else { 2.0 };
        let density = |bin: usize| sides(bin) * bins[bin].norm_sqr() / (rate_hz * count as f64);
        Self { bin_width: rate_hz / count as f64, density: (0..=count / 2).map(density).collect() }
    }

    /// The bin with the highest density.
    fn peak(&self) -> usize {
        (0..self.density.len()).max_by(|a, b| self.density[*a].total_cmp(&self.density[*b])).unwrap_or(0)
    }
}

/// The spectrum of a column of numbers, one a year.
#[remote]
fn spectrum(samples: &[f64]) -> Spectrum {
    Spectrum::of(samples, 1.0)
}

/// Where the peak of a noisy tone is, in Hz, and how high. Each task has noise of its
/// own, the same on any number of workers.
#[remote]
fn tone(ctx: &Context, tone_hz: f64) -> (f64, f64) {
    const RATE_HZ: f64 = 10_000.0;
    let mut random = fastrand::Rng::with_seed(ctx.seed());
    // Normal with variance 1: Box and Muller 1958.
    let mut noise = || (-2.0 * (1.0 - random.f64()).ln()).sqrt() * (TAU * random.f64()).cos();
    let sample = |t: usize| 8.0_f64.sqrt() * (TAU * tone_hz * t as f64 / RATE_HZ).sin() + 5.0_f64.sqrt() * noise();
    let spectrum = Spectrum::of(&(0..100_000).map(sample).collect::<Vec<_>>(), RATE_HZ);
    let peak = spectrum.peak();
    (peak as f64 * spectrum.bin_width, spectrum.density[peak])
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), Box<dyn std::error::Error>> {
    let farm = cluster.submit_all((1..=150).map(|hz| tone::call(f64::from(hz))));

    let years = include_str!("../data/spectral/sunspots_yearly_1700_2008.csv").lines().skip(1);
    let numbers = years.filter_map(|line| line.split(',').nth(1)).map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let sunspots = cluster.submit(spectrum::call(&numbers)).into_value()?;
    let expected = include_str!("../data/spectral/expected/sunspots_periodogram.txt").lines().skip(1);
    for (line, found) in expected.zip(&sunspots.density) {
        let density: f64 = line.split(' ').nth(1).ok_or("two columns")?.parse()?;
        assert!((density - found).abs() <= 1e-9 * density.max(1.0), "{found} is not {density}");
    }
    println!("sunspots come back after {:.2} years", 1.0 / (sunspots.peak() as f64 * sunspots.bin_width));

    for (index, result) in &farm {
        let (peak_hz, density) = result?;
        assert!((peak_hz - (index + 1) as f64).abs() < 0.05, "tone {index} is at {peak_hz} Hz");
        assert!((density - 40.0).abs() < 4.0, "tone {index} has {density} V²/Hz");
    }
    println!("{} tones found where they are", farm.len());
    Ok(())
}
