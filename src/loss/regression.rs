//! Real-valued targets.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::{Distillation, G2dLoss, LossInput, LossTerms, torch};
use crate::{Modality, Result, error};

/// Mean squared error with distillation.
///
/// L_S = mean of (l_s − y)²; a regression has no distribution to compare, so L_logit^m = mean of
/// (l_s − l_t^m)². Predictions are [B, D]; targets [B, D], or [B] where D is 1.
///
/// ρ^m = exp(−MSE^m / Var(y)), in (0, 1], with the batch's variance (divided by N, not N − 1): 1 is a
/// perfect teacher, e⁻¹ one that is no better than the batch mean. The paper's formula for
/// regression is not known to us; this one is our choice. Where a batch's targets do not vary, any
/// error gives ρ = 0 and none gives 1.
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

/// Targets [B] beside predictions [B, 1] become [B, 1], in the predictions' kind.
fn like(predictions: &Tensor, targets: &Tensor) -> Result<Tensor> {
    targets.f_reshape_as(predictions).and_then(|y| y.f_to_kind(predictions.kind())).map_err(torch)
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

    fn terms(&self, input: &LossInput<'_>) -> Result<LossTerms> {
        let mse = |a: &Tensor, b: &Tensor| a.f_mse_loss(b, Reduction::Mean).map_err(torch);
        let task = mse(input.logits, &like(input.logits, input.targets)?)?;
        self.distillation.terms(input, task, |teacher, student, _| mse(student, teacher))
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        let targets = like(logits, targets)?;
        let mse = logits.f_mse_loss(&targets, Reduction::Mean).map_err(torch)?;
        let smallest = f64::from(f32::MIN_POSITIVE);
        let variance = targets.f_var(false).map_err(torch)?.clamp_min(smallest);
        Ok((-mse.f_div(&variance).map_err(torch)?).exp())
    }
}
