//! Weights of classes and of samples.

use tch::{Device, Kind, Tensor};

use super::{TaskInput, torch};
use crate::error::{self, Result};
use crate::transfer;

/// Refuses a list of weights that is empty, or holds a number that is negative or not finite.
pub(super) fn check_list(name: &str, weights: Option<&[f64]>) -> Result<()> {
    let Some(weights) = weights else { return Ok(()) };
    if weights.is_empty() {
        let hint = "leave it out for equal weights";
        return Err(error::config(name, "one number for each class", "none", hint));
    }
    match weights.iter().find(|weight| !(weight.is_finite() && **weight >= 0.0)) {
        None => Ok(()),
        Some(weight) => Err(error::out_of_range(name, "finite numbers ≥ 0", weight)),
    }
}

/// Refuses a list of weights of another length than `classes`, the width of the logits.
pub(super) fn check_length(name: &str, weights: Option<&[f64]>, classes: i64) -> Result<()> {
    match weights {
        Some(weights) if weights.len() as i64 != classes => {
            let expected = format!("{classes} numbers, one for each class");
            let hint = "pass one number for each column of the logits";
            Err(error::config(name, expected, weights.len(), hint))
        }
        _ => Ok(()),
    }
}

/// A list of weights \[C\] in dtype and on the device of `logits`.
pub(super) fn list(weights: Option<&[f64]>, logits: &Tensor) -> Result<Option<Tensor>> {
    let send = |weights: &[f64]| {
        let weights = Tensor::from_slice(weights).f_to_kind(logits.kind()).map_err(torch)?;
        transfer::send(&weights, logits.device())
    };
    weights.map(send).transpose()
}

/// The sample weights \[B\] of the extra `name` in the dtype of the logits. On the CPU a negative weight
/// or one that is not finite is an error.
pub(super) fn of_samples(input: &TaskInput<'_>, name: &str) -> Result<Tensor> {
    let (weights, rows) = (input.extra(name)?, input.logits.size()[0]);
    let what = format!("sample weights {name:?}");
    if weights.size() != [rows] {
        let expected = format!("[{rows}], one per sample");
        let hint = "pass one number for each sample to `Batch::with_extra`";
        return Err(error::wrong_shape(what, expected, &weights.size(), hint));
    }
    if weights.device() == Device::Cpu {
        let values = weights.f_to_kind(Kind::Double).and_then(Vec::<f64>::try_from);
        let legal = |weight: &f64| weight.is_finite() && *weight >= 0.0;
        if let Some(weight) = values.map_err(torch)?.iter().find(|weight| !legal(weight)) {
            return Err(error::out_of_range(what, "finite numbers ≥ 0", weight));
        }
    }
    weights.f_to_kind(input.logits.kind()).map_err(torch)
}

/// Σ_i v_i w_{y_i} over the samples that are not ignored, of the weights v of `samples` and w of `classes`;
/// `None` where that is the number of samples. Labels are in `0..C` or ignored.
pub(super) fn sum_of_samples(
    targets: &Tensor,
    samples: Option<&Tensor>,
    classes: Option<&[f64]>,
    ignore_index: Option<i64>,
) -> Result<Option<Tensor>> {
    if samples.is_none() && classes.is_none() && ignore_index.is_none() {
        return Ok(None);
    }
    let sum = || {
        let rows = [targets.size()[0]];
        let mut weights = match samples {
            Some(samples) => samples.f_to_kind(Kind::Double)?,
            None => Tensor::f_ones(rows, (Kind::Double, targets.device()))?,
        };
        if let Some(ignored) = ignore_index {
            weights = weights.f_mul(&targets.f_ne(ignored)?.f_to_kind(Kind::Double)?)?;
        }
        if let Some(classes) = classes {
            let of_classes = Tensor::f_from_slice(classes)?.f_to_device(targets.device())?;
            let labels = targets.f_clamp(0, classes.len() as i64 - 1)?;
            weights = weights.f_mul(&of_classes.f_index_select(0, &labels)?)?;
        }
        weights.f_sum(None::<Kind>)
    };
    sum().map(Some).map_err(torch)
}

/// Σ_i w_i ℓ_i / Σ_i w_i c_i of ℓ = `rows`, w = `weights` and c = `scale` (1 without), each \[B\]; 0 where
/// the denominator is 0.
pub(super) fn mean(rows: &Tensor, weights: &Tensor, scale: Option<&Tensor>) -> Result<Tensor> {
    let mean = || {
        let sum = rows.f_mul(weights)?.f_sum(None)?;
        let whole = match scale {
            None => weights.f_sum(None)?,
            Some(scale) => weights.f_mul(scale)?.f_sum(None)?,
        };
        let one_if_zero = whole.eq(0.0).f_to_kind(whole.kind())?;
        sum.f_div(&whole.f_add(&one_if_zero)?)
    };
    mean().map_err(torch)
}
