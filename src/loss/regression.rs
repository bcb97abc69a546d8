//! Loss for real-valued targets.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{
    Confidence, Distillation, ExponentialError, G2dLoss, Input, Terms, compare::Compare,
    confidence::like, torch,
};
use crate::error::{self, Result};
use crate::modality::Modality;

/// Mean squared error with distillation.
///
/// L_S = mean of (l_s − y)². A regression has no class distribution, so L_logit^m = mean of
/// (l_s − l_t^m)², and L_head^m = mean of (z_m − l_t^m)². Predictions are [B, D]; targets are [B, D], or
/// \[B\] if D is 1.
///
/// ρ^m is [`ExponentialError`], exp(−MSE^m / Var(y)); choose another, such as
/// [`InverseError`](super::InverseError), with
/// [`Builder::confidence`](crate::trainer::Builder::confidence).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Regression {
    /// The distillation terms; their temperatures are ignored.
    pub distillation: Distillation,
}

impl Regression {
    /// A regression with this distillation.
    pub fn new(distillation: Distillation) -> Self {
        Self { distillation }
    }
}

impl G2dLoss for Regression {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        if self.distillation.ensemble.is_some() {
            let hint = "leave it out: the calibrated ensemble is defined for classes";
            return Err(error::config("ensemble term of a regression", "none", "one", hint));
        }
        self.distillation.check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        if !targets.is_floating_point() {
            let hint = "convert with `to_kind`";
            return Err(error::wrong_kind(
                "targets",
                "a floating-point dtype",
                targets.kind(),
                hint,
            ));
        }
        let (rows, width) = (logits[0], logits[1]);
        let size = targets.size();
        if size != [rows, width] && !(width == 1 && size == [rows]) {
            let expected = format!("[{rows}, {width}] like the predictions");
            let hint = "reshape the targets, which are not broadcast";
            return Err(error::wrong_shape("targets", expected, &size, hint));
        }
        Ok(())
    }

    fn terms(&self, input: &Input<'_>) -> Result<Terms> {
        self.distillation.terms(input, self)
    }

    fn needs_unimodal_logits(&self) -> bool {
        self.distillation.needs_unimodal_logits()
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        ExponentialError.rho(logits, targets)
    }
}

impl Compare for Regression {
    fn task(&self, predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
        mse(predictions, &like(predictions, targets)?)
    }

    fn divergence(&self, teacher: &Tensor, student: &Tensor, _temperature: f64) -> Result<Tensor> {
        mse(student, teacher)
    }
}

/// Mean squared difference.
fn mse(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.f_mse_loss(b, Reduction::Mean).map_err(torch)
}
