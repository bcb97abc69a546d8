//! L_S of classes: cross-entropy and its variants.

use tch::{Device, Kind, Reduction, Tensor};

use super::{Classification, Labels, TaskInput, torch, weights};
use crate::error::Result;

/// L_S of one class, or the probabilities of all classes, per sample.
pub(super) fn task(loss: &Classification, input: &TaskInput<'_>) -> Result<Tensor> {
    let (logits, targets) = (input.logits, input.targets);
    let weight = weights::list(loss.class_weight.as_deref(), logits)?;
    // libtorch divides by the sum of the labels' weights, also where it is 0.
    let some_zero = loss.class_weight.as_ref().is_some_and(|weights| weights.contains(&0.0));
    let is_plain = loss.ignore_index.is_none() && loss.focal == 0.0 && !some_zero;
    if is_plain && loss.sample_weight.is_none() {
        return match loss.labels {
            Labels::Soft => cross_entropy(logits, &like(logits, targets)?, weight, loss),
            _ => within_range(loss, logits, targets, |y| cross_entropy(logits, y, weight, loss)),
        };
    }
    let samples = loss.sample_weight.as_deref().map(|name| weights::of_samples(input, name));
    let samples = match samples {
        Some(samples) => samples?,
        None => logits
            .f_new_ones([logits.size()[0]], (logits.kind(), logits.device()))
            .map_err(torch)?,
    };
    if loss.labels == Labels::Soft {
        let rows = focal(loss, logits, like(logits, targets)?, weight.as_ref())?;
        return weights::mean(&rows, &samples, None);
    }
    within_range(loss, logits, targets, |y| {
        let samples = match loss.ignore_index {
            None => samples.shallow_clone(),
            Some(ignored) => {
                let kept = targets.ne(ignored).f_to_kind(logits.kind()).map_err(torch)?;
                samples.f_mul(&kept).map_err(torch)?
            }
        };
        let rows = focal(loss, logits, one_hot(logits, y)?, weight.as_ref())?;
        let own = weight.as_ref().map(|weight| weight.f_index_select(0, y)).transpose();
        weights::mean(&rows, &samples, own.map_err(torch)?.as_ref())
    })
}

/// The mean cross-entropy of libtorch with class weights and label smoothing.
fn cross_entropy(
    logits: &Tensor,
    targets: &Tensor,
    weight: Option<Tensor>,
    loss: &Classification,
) -> Result<Tensor> {
    const NO_INDEX_IGNORED: i64 = -100;
    let (mean, smoothing) = (Reduction::Mean, loss.label_smoothing);
    logits.f_cross_entropy_loss(targets, weight, mean, NO_INDEX_IGNORED, smoothing).map_err(torch)
}

/// `loss` of labels that are all in `0..C`. On the CPU they have been checked. Elsewhere an out-of-range
/// label would abort a CUDA kernel, and reading it would synchronise: it makes the loss NaN. Rows to
/// ignore have any label in `0..C`.
fn within_range(
    settings: &Classification,
    logits: &Tensor,
    targets: &Tensor,
    loss: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    if targets.device() == Device::Cpu && settings.ignore_index.is_none() {
        return loss(targets);
    }
    let classes = logits.size()[1];
    let loss = loss(&targets.clamp(0, classes - 1))?;
    if targets.device() == Device::Cpu {
        return Ok(loss);
    }
    let mut valid = targets.ge(0).logical_and(&targets.lt(classes));
    if let Some(ignored) = settings.ignore_index {
        valid = valid.logical_or(&targets.eq(ignored));
    }
    // Made on the device, so that nothing is copied to it.
    let nan = loss.detach().f_full_like(f64::NAN).map_err(torch)?;
    loss.f_where_self(&valid.all(), &nan).map_err(torch)
}

/// −Σ_c w_c q_c (1 − p_c)^γ log p_c of each row, \[B\], for smoothed targets q; p = softmax(l).
fn focal(
    loss: &Classification,
    logits: &Tensor,
    targets: Tensor,
    weight: Option<&Tensor>,
) -> Result<Tensor> {
    let rows = || {
        let classes = logits.size()[1] as f64;
        let q = match loss.label_smoothing {
            0.0 => targets,
            smoothing => targets * (1.0 - smoothing) + smoothing / classes,
        };
        let log_p = logits.f_log_softmax(1, None)?;
        let mut each = q.f_mul(&log_p)?.f_neg()?;
        if let Some(weight) = weight {
            each = each.f_mul(weight)?;
        }
        if loss.focal > 0.0 {
            // The derivative of a power is infinite at 0 for an exponent below 1.
            let rest = log_p.f_expm1()?.f_neg()?.clamp_min(f64::from(f32::MIN_POSITIVE));
            each = each.f_mul(&rest.pow_tensor_scalar(loss.focal))?;
        }
        each.f_sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)
    };
    rows().map_err(torch)
}

/// Labels \[B\] as rows [B, C] of the dtype of `logits`.
fn one_hot(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let rows = || {
        let classes = Tensor::f_arange(logits.size()[1], (Kind::Int64, labels.device()))?;
        labels.f_unsqueeze(1)?.f_eq_tensor(&classes)?.f_to_kind(logits.kind())
    };
    rows().map_err(torch)
}

/// `targets` in the dtype of the logits.
fn like(logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
    targets.f_to_kind(logits.kind()).map_err(torch)
}
