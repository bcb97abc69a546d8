//! Loss for real-valued targets.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{
    Confidence, Distillation, ExponentialError, G2dLoss, Input, Terms, confidence::like, torch,
};
use crate::error::{self, Result};
use crate::modality::Modality;

/// Mean squared error with distillation.
///
/// L_S = mean of (l_s − y)². A regression has no class distribution, so L_logit^m = mean of
/// (l_s − l_t^m)². Predictions are [B, D]; targets are [B, D], or \[B\] if D is 1.
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
        let mse = |a: &Tensor, b: &Tensor| a.f_mse_loss(b, Reduction::Mean).map_err(torch);
        let task = mse(input.logits, &like(input.logits, input.targets)?)?;
        self.distillation.terms(input, task, |teacher, student, _| mse(student, teacher))
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        ExponentialError.rho(logits, targets)
    }
}
