//! ρ: the confidence by which teachers are ranked.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use super::{Labels, torch};
use crate::error::Result;

/// How well a model predicts the targets: the ρ that ranks the modalities' teachers.
///
/// Every loss has its own ([`G2dLoss::confidence`](super::G2dLoss::confidence)); pass another to
/// [`Builder::confidence`](crate::trainer::Builder::confidence). A closure `|logits, targets| …`
/// implements the trait.
///
/// # Contract
/// - Tensor operations only: no state, no synchronisation with the device.
/// - `rho` takes logits or predictions [B, C] with B ≥ 1 and targets that the loss has checked against
///   them, and returns a scalar: higher is stronger, and finite for finite logits and any targets, also
///   constant ones.
/// - [`Partial`](crate::schedule::Partial) requires ρ ≥ 0, since it computes ratios; the other
///   schedulers use the order alone.
///
/// # Example
/// ```
/// use g2d::{Result, loss::Confidence};
/// use tch::Tensor;
///
/// /// The smaller the mean absolute error, the stronger.
/// struct NegativeMae;
///
/// impl Confidence for NegativeMae {
///     fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
///         let targets = targets.f_reshape_as(logits)?.f_to_kind(logits.kind())?;
///         Ok(-logits.f_sub(&targets)?.f_abs()?.f_mean(None)?)
///     }
/// }
/// ```
pub trait Confidence {
    /// ρ of logits [B, C] and their targets: a scalar.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch).
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor>;
}

const _: Option<&dyn Confidence> = None; // stays object-safe

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor>> Confidence for F {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self(logits, targets)
    }
}

/// The paper's ρ = mean of σ(l)\[y\], in [0, 1]: the mean probability of the true class. For soft labels
/// the mean of Σ_c y_c σ(l)_c. With multiple labels, the mean over [B, C] of the probability of the true 0
/// or 1. The default of [`Classification`](super::Classification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrueClassProbability {
    /// The form of the targets.
    pub labels: Labels,
    /// The label of samples to leave out, as [`Classification::ignore_index`](super::Classification).
    /// Without any other label ρ is 1 / C, that of a guess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_index: Option<i64>,
}

impl Confidence for TrueClassProbability {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let probability = match self.labels {
            Labels::Single => {
                let p = logits.f_softmax(-1, None).map_err(torch)?;
                let y = in_range(targets, logits, self.ignore_index).unsqueeze(1);
                let own = p.f_gather(1, &y, false).map_err(torch)?;
                match self.ignore_index {
                    None => own,
                    Some(ignored) => return mean_of_labelled(&own, &p, targets, ignored),
                }
            }
            Labels::Soft => {
                let p = logits.f_softmax(-1, None).map_err(torch)?;
                let y = targets.f_to_kind(logits.kind()).map_err(torch)?;
                p.f_mul(&y).map_err(torch)?.sum_dim_intlist([1_i64].as_slice(), false, None::<Kind>)
            }
            Labels::Multi => {
                // σ(l) where y = 1, 1 − σ(l) = σ(−l) where y = 0.
                let signs = targets.f_to_kind(logits.kind()).map_err(torch)? * 2.0 - 1.0;
                // σ is 0 or 1 for infinite logits.
                nan_unless_finite(&logits.f_mul(&signs).map_err(torch)?.sigmoid(), logits)?
            }
        };
        probability.f_mean(None).map_err(torch)
    }
}

/// Labels that are all in `0..C`. On the CPU they have been checked, unless some are ignored.
fn in_range(labels: &Tensor, logits: &Tensor, ignored: Option<i64>) -> Tensor {
    if labels.device() == Device::Cpu && ignored.is_none() {
        return labels.shallow_clone();
    }
    labels.clamp(0, logits.size()[1] - 1)
}

/// The mean of probabilities `own` [B, 1] over the rows whose label is not `ignored`; 1 / C without such a
/// row, computed from the probabilities `all` [B, C].
fn mean_of_labelled(own: &Tensor, all: &Tensor, targets: &Tensor, ignored: i64) -> Result<Tensor> {
    let mean = || {
        let kept = targets.ne(ignored).f_to_kind(own.kind())?;
        let count = kept.f_sum(None)?;
        let sum = own.f_squeeze_dim(1)?.f_mul(&kept)?.f_sum(None)?;
        let guess = all.f_mean(None)?;
        let none = count.eq(0.0);
        let mean = sum.f_div(&count.f_add(&none.f_to_kind(own.kind())?)?)?;
        guess.f_where_self(&none, &mean)
    };
    mean().map_err(torch)
}

/// ρ = exp(−MSE / Var(y)), in [0, 1]: 1 for exact predictions, e⁻¹ for those no better than the batch
/// mean. The default of [`Regression`](super::Regression). This is the crate's choice: the paper's
/// formula for regression is not known.
///
/// Var is the batch's variance, divided by N, not N − 1. For constant targets ρ is 1 without any error,
/// else 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExponentialError;

impl Confidence for ExponentialError {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        Ok((-relative_error(logits, targets)?).exp())
    }
}

/// ρ = 1 / (1 + RMSE / σ(y)), in [0, 1]: 1 for exact predictions, ½ for those no better than the batch
/// mean. It falls slowly, so that it ranks teachers far worse than the mean, for which
/// [`ExponentialError`] is 0.
///
/// σ is the root of the variance of [`ExponentialError`], which also describes constant targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InverseError;

impl Confidence for InverseError {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        Ok((relative_error(logits, targets)?.sqrt() + 1.0).reciprocal())
    }
}

/// One of the crate's confidences by its name, as in a settings file: `"exponential_error"`,
/// `"inverse_error"`, or `{ true_class_probability = { labels = "multi" } }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfidenceConfig {
    /// [`TrueClassProbability`], for classification.
    TrueClassProbability(TrueClassProbability),
    /// [`ExponentialError`], for regression.
    ExponentialError,
    /// [`InverseError`], for regression.
    InverseError,
}

impl Confidence for ConfidenceConfig {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        match self {
            Self::TrueClassProbability(probability) => probability.rho(logits, targets),
            Self::ExponentialError => ExponentialError.rho(logits, targets),
            Self::InverseError => InverseError.rho(logits, targets),
        }
    }
}

/// MSE / Var(y). The variance is at least the smallest normal `f32`.
fn relative_error(predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let targets = like(predictions, targets)?;
    let mse = predictions.f_mse_loss(&targets, Reduction::Mean).map_err(torch)?;
    let smallest = f64::from(f32::MIN_POSITIVE);
    let variance = targets.f_var(false).map_err(torch)?.clamp_min(smallest);
    nan_unless_finite(&mse.f_div(&variance).map_err(torch)?, predictions)
}

/// `value`, which is computed from `of`, or NaN if an element of `of` is not finite.
fn nan_unless_finite(value: &Tensor, of: &Tensor) -> Result<Tensor> {
    (of * 0.0).f_sum(None).and_then(|zero| value.f_add(&zero)).map_err(torch)
}

/// `targets` in the shape and dtype of `predictions`: \[B\] becomes [B, 1].
pub(super) fn like(predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    targets.f_reshape_as(predictions).and_then(|y| y.f_to_kind(predictions.kind())).map_err(torch)
}
