//! Loss for real-valued targets.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::{
    Confidence, Distillation, ExponentialError, G2dLoss, Input, Penalty, TaskInput, TermWeights,
    Terms, WithTask, base::Base, compare::Compare, confidence::like, targets, torch, weights,
};
use crate::batch::Extras;
use crate::error::{self, Result};
use crate::modality::Modality;

/// A mean penalty of errors, by default the squared one, with distillation.
///
/// L_S = Σ_i v_i ℓ_i / Σ_i v_i, where ℓ_i is the mean of h(l_s − y) over the D values of sample i, h is
/// [`penalty`](Self::penalty) and v [`sample_weight`](Self::sample_weight); 0 where no sample has a
/// weight. A regression has no class distribution, so L_logit^m = mean of h(l_s − l_t^m), and
/// L_head^m = mean of h(z_m − l_t^m), without sample weights. Predictions are [B, D]; targets are [B, D],
/// or \[B\] if D is 1.
///
/// ρ^m is [`ExponentialError`], exp(−MSE^m / Var(y)), for every penalty; choose another, such as
/// [`InverseError`](super::InverseError), with
/// [`Builder::confidence`](crate::trainer::Builder::confidence).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Regression {
    /// The penalty h of an error.
    #[serde(skip_serializing_if = "is_squared")]
    pub penalty: Penalty,
    /// Name of the batch's extra \[B\] with weights v_i ≥ 0
    /// ([`Batch::with_extra`](crate::Batch::with_extra)); 1 without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sample_weight: Option<String>,
    /// The distillation terms; their temperatures are ignored.
    pub distillation: Distillation,
}

fn is_squared(penalty: &Penalty) -> bool {
    *penalty == Penalty::Squared
}

impl Regression {
    /// A regression of squared errors with this distillation.
    pub fn new(distillation: Distillation) -> Self {
        Self { distillation, ..Self::default() }
    }

    /// This loss with the closure `task` as L_S.
    pub fn with_task(self, task: impl Fn(&TaskInput<'_>) -> Result<Tensor> + 'static) -> WithTask {
        WithTask::new(Box::new(self), task)
    }
}

impl Base for Regression {
    fn distillation(&self) -> &Distillation {
        &self.distillation
    }
}

impl G2dLoss for Regression {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        self.penalty.check()?;
        if self.distillation.ensemble.is_some() {
            let hint = "leave it out: the calibrated ensemble is defined for classes";
            return Err(error::config("ensemble term of a regression", "none", "one", hint));
        }
        self.distillation.check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        targets::check_any(targets)?;
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

    fn term_weights(&self, k: usize) -> Option<TermWeights> {
        Some(self.distillation.term_weights(k))
    }

    fn task_weight(&self, _targets: &Tensor, extras: &Extras) -> Result<Option<Tensor>> {
        let weights = self.sample_weight.as_deref().map(|name| extras.get(name)).transpose()?;
        weights.map(|weights| weights.f_sum(Kind::Double).map_err(torch)).transpose()
    }

    fn needs_unimodal_logits(&self) -> bool {
        self.distillation.needs_unimodal_logits()
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        ExponentialError.rho(logits, targets)
    }
}

impl Compare for Regression {
    fn task(&self, input: &TaskInput<'_>) -> Result<Tensor> {
        let (predictions, targets) = (input.logits, like(input.logits, input.targets)?);
        let Some(name) = &self.sample_weight else {
            return self.penalty.of(predictions, &targets, Reduction::Mean);
        };
        let each = self.penalty.of(predictions, &targets, Reduction::None)?;
        let rows = each.f_mean_dim([1_i64].as_slice(), false, None::<Kind>).map_err(torch)?;
        weights::mean(&rows, &weights::of_samples(input, name)?, None)
    }

    fn divergence(&self, teacher: &Tensor, student: &Tensor, _temperature: f64) -> Result<Tensor> {
        self.penalty.of(student, teacher, Reduction::Mean)
    }
}
