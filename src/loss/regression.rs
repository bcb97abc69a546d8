//! Real-valued targets.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::confidence::like;
use super::{Confidence, Distillation, ExponentialError, G2dLoss, Input, Terms, torch};
use crate::{
    error::{self, Result},
    modality::Modality,
};

/// Mean squared error with distillation.
///
/// L_S = mean of (l_s − y)²; a regression has no distribution to compare, so L_logit^m = mean of
/// (l_s − l_t^m)². Predictions are [B, D]; targets [B, D], or \[B\] where D is 1.
///
/// ρ^m is [`ExponentialError`], exp(−MSE^m / Var(y)), unless
/// [`G2dTrainerBuilder::confidence`](crate::trainer::Builder::confidence) names another, such as
/// [`InverseError`](crate::loss::InverseError).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Regression {
    /// The distillation terms; their temperatures are ignored.
    pub distillation: Distillation,
}

impl Regression {
    /// With the distillation given.
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
            return Err(error::kind(
                "targets",
                "a float kind",
                format!("{:?}", targets.kind()),
                "convert with `to_kind`",
            ));
        }
        let (rows, width) = (logits[0], logits[1]);
        let size = targets.size();
        if size != [rows, width] && !(width == 1 && size == [rows]) {
            return Err(error::shape(
                "targets",
                format!("[{rows}, {width}] like the predictions"),
                format!("{size:?}"),
                "reshape them; nothing is broadcast",
            ));
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
