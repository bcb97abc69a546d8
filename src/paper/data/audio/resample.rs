//! Resampling with a windowed sinc at rational positions.
//!
//! The authors resample with librosa, which uses soxr. The crate rubato 5 does not reproduce it: with
//! its own cutoff the log-spectrogram, which resolves −126 dB, differs by 0.2 on average near the
//! cutoff, and its sinc resampler shifts a clip by a fraction of a sample. A Kaiser window with soxr's
//! band edges agrees to 0.02 (means of whole spectrograms) and 2e-5 (voiced bins).

use std::f64::consts::PI;

/// The passband of soxr's high quality, as a fraction of the lower Nyquist frequency.
const PASS: f64 = 0.91363;
/// The stopband attenuation of soxr's high quality in dB.
const ATTENUATION: f64 = 126.4;

/// The filter from one rate to another: one row of taps per phase.
#[derive(Debug)]
pub(super) struct Kernel {
    up: usize,
    down: usize,
    /// Number of taps on each side of the centre.
    half: usize,
    /// [up, 2·half + 1]
    taps: Vec<f64>,
}

impl Kernel {
    pub(super) fn new(from: u32, to: u32) -> Self {
        let shared = gcd(from, to);
        let (up, down) = ((to / shared) as usize, (from / shared) as usize);
        // Frequencies are in cycles per input sample.
        let nyquist = 0.5 * f64::from(from.min(to)) / f64::from(from);
        let (cutoff, transition) = (nyquist * (1.0 + PASS) / 2.0, nyquist * (1.0 - PASS));
        let beta = 0.1102 * (ATTENUATION - 8.7);
        let length = (ATTENUATION - 7.95) / (2.285 * 2.0 * PI * transition);
        let half = (length / 2.0).ceil();
        let top = bessel_i0(beta);
        let tap = |at: f64| {
            let inside = 1.0 - (at / half).powi(2);
            if inside < 0.0 {
                return 0.0;
            }
            2.0 * cutoff * sinc(2.0 * cutoff * at) * bessel_i0(beta * inside.sqrt()) / top
        };
        let half = half as usize;
        let mut taps = Vec::with_capacity(up * (2 * half + 1));
        for phase in 0..up {
            let shift = half as f64 + phase as f64 / up as f64;
            taps.extend((0..=2 * half).map(|i| tap(i as f64 - shift)));
        }
        Self { up, down, half, taps }
    }

    /// Resamples `input` of n samples to ⌈n · to / from⌉ samples, or the first `limit` of them.
    pub(super) fn apply(&self, input: &[f32], limit: usize) -> Vec<f32> {
        let Self { up, down, half, .. } = *self;
        let length = (input.len() * up).div_ceil(down).min(limit);
        let row = 2 * half + 1;
        let mut padded = vec![0.0; input.len() + row];
        for (wide, sample) in padded[half..].iter_mut().zip(input) {
            *wide = f64::from(*sample);
        }
        let at = |n: usize| {
            let (first, phase) = (n * down / up, n * down % up);
            dot(&padded[first..first + row], &self.taps[phase * row..][..row]) as f32
        };
        (0..length).map(at).collect()
    }
}

/// The dot product in eight partial sums, which the compiler vectorises. The rounding of single
/// precision would be as large as the filter's stopband.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0_f64; LANES];
    let (l, r) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
    let rest: f64 = l.remainder().iter().zip(r.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in l.zip(r) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// The modified Bessel function I₀ by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
