//! ρ: by what teachers are ranked.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{Labels, torch};
use crate::error::Result;

/// How well a teacher knows the targets: the ρ that modalities are ranked by.
///
/// Every loss brings its own ([`G2dLoss::confidence`](crate::loss::G2dLoss::confidence)); another is given
/// to [`G2dTrainerBuilder::confidence`](crate::trainer::Builder::confidence). A closure
/// `|logits, targets| …` is one too.
///
/// # Contract
/// - Pure tensor mathematics: no state, no wait for the device.
/// - It takes logits or predictions [B, C] and targets that the loss has checked against them, B ≥ 1,
///   and returns a scalar tensor: higher is stronger, and finite for finite logits, whatever the
///   targets are (a constant one too).
/// - [`Partial`](crate::schedule::Partial) takes ratios and wants it ≥ 0; the other schedules take the order
///   alone.
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
    /// ρ of logits [B, C] beside their targets.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch).
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor>;
}

const _: Option<&dyn Confidence> = None; // stays object-safe

impl<F: Fn(&Tensor, &Tensor) -> Result<Tensor>> Confidence for F {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self(logits, targets)
    }
}

/// The paper's ρ = mean of σ(l)\[y\], in [0, 1]: the probability given to the true class; of many
/// labels, the mean over [B, C] of the probability given to the true 0 or 1. The default of
/// [`Classification`](crate::loss::Classification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrueClassProbability {
    /// What the targets are.
    pub labels: Labels,
}

impl Confidence for TrueClassProbability {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let probability = match self.labels {
            Labels::Single => {
                let p = logits.f_softmax(-1, None).map_err(torch)?;
                let y = targets.clamp(0, logits.size()[1] - 1).unsqueeze(1);
                p.f_gather(1, &y, false).map_err(torch)?
            }
            Labels::Multi => {
                // σ(l) where y = 1, 1 − σ(l) = σ(−l) where y = 0.
                let signs = targets.f_to_kind(logits.kind()).map_err(torch)? * 2.0 - 1.0;
                logits.f_mul(&signs).map_err(torch)?.sigmoid()
            }
        };
        probability.f_mean(None).map_err(torch)
    }
}

/// ρ = exp(−MSE / Var(y)), in [0, 1]: 1 is a perfect teacher, e⁻¹ one that is no better than the
/// batch mean. The default of [`Regression`](crate::loss::Regression), and our choice: the paper's formula
/// for regression is not known to us.
///
/// Var is the batch's (divided by N, not N − 1). Where the batch's targets do not vary, any error
/// gives 0 and none gives 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExponentialError;

impl Confidence for ExponentialError {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        Ok((-error_share(logits, targets)?).exp())
    }
}

/// ρ = 1 / (1 + RMSE / σ(y)), in [0, 1]: 1 is a perfect teacher, ½ one that is no better than the
/// batch mean. It falls slowly: teachers far worse than the mean are still told apart, where
/// [`ExponentialError`] is 0 for all of them.
///
/// Constant targets as there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InverseError;

impl Confidence for InverseError {
    fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        Ok((error_share(logits, targets)?.sqrt() + 1.0).reciprocal())
    }
}

/// One of the crate's confidences by its name, as a settings file gives it: `"exponential_error"`,
/// `"inverse_error"`, or `{ true_class_probability = { labels = "multi" } }`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfidenceConfig {
    /// [`TrueClassProbability`], of classes.
    TrueClassProbability(TrueClassProbability),
    /// [`ExponentialError`], of a regression.
    ExponentialError,
    /// [`InverseError`], of a regression.
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

/// MSE / Var(y) with the batch's variance, no smaller than `Float`'s smallest normal number.
fn error_share(predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    let targets = like(predictions, targets)?;
    let mse = predictions.f_mse_loss(&targets, Reduction::Mean).map_err(torch)?;
    let smallest = f64::from(f32::MIN_POSITIVE);
    let variance = targets.f_var(false).map_err(torch)?.clamp_min(smallest);
    mse.f_div(&variance).map_err(torch)
}

/// Targets \[B\] beside predictions [B, 1] become [B, 1], in the predictions' kind.
pub(super) fn like(predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    targets.f_reshape_as(predictions).and_then(|y| y.f_to_kind(predictions.kind())).map_err(torch)
}
