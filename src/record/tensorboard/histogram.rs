//! Histograms with bins of equal width.

use tch::{Kind, TchError, Tensor};

use super::message::Histogram;
use crate::error::{Error, Result};
use crate::transfer;

/// Number of bins of a histogram of tensors.
const BINS: i64 = 64;
/// Number of bins of a histogram of fractions.
const FRACTION_BINS: usize = 20;

/// The histogram of the finite numbers, which are in [0, 1]; others count in the outer bins. `None`
/// without any.
pub(super) fn from_fractions(values: &[f64]) -> Option<Histogram> {
    let values: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let mut counts = vec![0.0; FRACTION_BINS];
    for value in &values {
        let bin = (value * FRACTION_BINS as f64) as usize;
        counts[bin.min(FRACTION_BINS - 1)] += 1.0;
    }
    (!values.is_empty()).then(|| Histogram {
        min: values.iter().copied().fold(f64::INFINITY, f64::min),
        max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        num: values.len() as f64,
        sum: values.iter().sum(),
        sum_squares: values.iter().map(|v| v * v).sum(),
        bucket_limit: limits(0.0, 1.0, FRACTION_BINS),
        bucket: counts,
    })
}

/// The histogram of all finite elements; `None` without any. Synchronises with the device.
pub(super) fn from_tensors(tensors: &[Tensor]) -> Result<Option<Histogram>> {
    let counted = count(tensors).map_err(|source| Error::torch("compute a histogram", source))?;
    let Some(numbers) = counted else { return Ok(None) };
    let numbers = transfer::read_scalars(&numbers)?;
    let ([min, max, num, sum, sum_squares], counts) =
        numbers.split_first_chunk().map_or(([0.0; 5], &[][..]), |(head, rest)| (*head, rest));
    // For elements that are all equal, `histc` uses a range of width 2 around them.
    let (low, high) = if min < max { (min, max) } else { (min - 1.0, max + 1.0) };
    let (bucket_limit, bucket) = (limits(low, high, counts.len()), counts.to_vec());
    Ok(Some(Histogram { min, max, num, sum, sum_squares, bucket_limit, bucket }))
}

/// Minimum, maximum, number, sum and sum of squares of the finite elements, and the counts of the bins.
fn count(tensors: &[Tensor]) -> std::result::Result<Option<Vec<Tensor>>, TchError> {
    let _no_grad = tch::no_grad_guard();
    let flat = |t: &Tensor| t.f_reshape([-1])?.f_to_kind(Kind::Float);
    let flat = tensors.iter().map(flat).collect::<std::result::Result<Vec<_>, _>>()?;
    if flat.is_empty() {
        return Ok(None);
    }
    let all = Tensor::f_cat(&flat, 0)?;
    let all = all.f_masked_select(&all.f_isfinite()?)?;
    if all.numel() == 0 {
        return Ok(None);
    }
    let wide = transfer::wide_kind(all.device());
    let number = Tensor::from(all.numel() as f64).f_to_device(all.device())?;
    let mut numbers =
        vec![all.f_min()?, all.f_max()?, number, all.f_sum(wide)?, all.f_square()?.f_sum(wide)?];
    numbers.extend(all.f_histc(BINS)?.f_unbind(0)?);
    Ok(Some(numbers))
}

/// The upper limits of bins of equal width.
fn limits(low: f64, high: f64, bins: usize) -> Vec<f64> {
    (1..=bins).map(|i| low + (high - low) * i as f64 / bins as f64).collect()
}
