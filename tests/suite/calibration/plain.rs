//! The formulas on plain numbers.

use tch::{Kind, Tensor};

/// Logits of each sample.
pub type Logits = Vec<Vec<f64>>;

pub fn logits(tensor: &Tensor) -> Logits {
    tensor.to_kind(Kind::Double).try_into().unwrap()
}

pub fn labels(tensor: &Tensor) -> Vec<usize> {
    let labels: Vec<i64> = tensor.try_into().unwrap();
    labels.into_iter().map(|label| label as usize).collect()
}

/// log σ(l).
pub fn log_softmax(row: &[f64]) -> Vec<f64> {
    let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = row.iter().map(|l| (l - largest).exp()).sum();
    row.iter().map(|l| l - largest - sum.ln()).collect()
}

/// log((1 − ε) σ(l / t) + ε / C).
pub fn robust(row: &[f64], t: f64, epsilon: f64) -> Vec<f64> {
    let log_p = log_softmax(&scaled(row, t));
    let each = log_p.iter().map(|p| (1.0 - epsilon) * p.exp() + epsilon / row.len() as f64);
    each.map(f64::ln).collect()
}

pub fn scaled(row: &[f64], t: f64) -> Vec<f64> {
    row.iter().map(|l| l / t).collect()
}

pub fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Mean of −log σ(l)[y].
pub fn nll<'a>(rows: impl IntoIterator<Item = (&'a Vec<f64>, &'a usize)>) -> f64 {
    let each: Vec<f64> = rows.into_iter().map(|(row, &y)| -log_softmax(row)[y]).collect();
    each.iter().sum::<f64>() / each.len() as f64
}

/// The minimum of `value` in [`low`, `high`], and where it is: the best of a grid, then of finer grids
/// around it.
pub fn minimum(low: f64, high: f64, value: impl Fn(f64) -> f64) -> (f64, f64) {
    grids(low, high, 100, 8, value)
}

/// As [`minimum`], with fewer points.
pub fn rough_minimum(low: f64, high: f64, value: impl Fn(f64) -> f64) -> (f64, f64) {
    grids(low, high, 40, 4, value)
}

fn grids(
    mut low: f64,
    mut high: f64,
    points: u32,
    grids: u32,
    value: impl Fn(f64) -> f64,
) -> (f64, f64) {
    let mut best = (f64::NAN, f64::INFINITY);
    for _ in 0..grids {
        let step = (high - low) / f64::from(points);
        for x in (0..=points).map(|i| low + step * f64::from(i)) {
            let found = value(x);
            if found < best.1 {
                best = (x, found);
            }
        }
        (low, high) = (low.max(best.0 - step), high.min(best.0 + step));
    }
    best
}

/// The temperature in [0.001, 1000] of the lowest NLL, and that NLL.
pub fn temperature(logits: &Logits, labels: &[usize]) -> (f64, f64) {
    let value = |log_t: f64| {
        let rows: Logits = logits.iter().map(|row| scaled(row, log_t.exp())).collect();
        nll(rows.iter().zip(labels))
    };
    let (log_t, nll) = minimum(0.001f64.ln(), 1000f64.ln(), value);
    (log_t.exp(), nll)
}

/// Asserts that two numbers agree to a relative `tolerance`.
#[track_caller]
pub fn assert_agree(found: f64, expected: f64, tolerance: f64) {
    approx::assert_relative_eq!(found, expected, max_relative = tolerance, epsilon = tolerance);
}
