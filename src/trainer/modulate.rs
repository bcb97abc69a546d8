//! The gradient modulation's turn in a step.

use tch::Tensor;

use super::{G2dTrainer, answer::Answer};
use crate::modulation::unimodal_logits;
use crate::{Plan, Result, SeenGradients, Student, error, parts::Parts};

impl G2dTrainer {
    /// Refuses a student without the unimodal logits that the modulation will ask for.
    pub(super) fn check_modulation(
        &self,
        student: &dyn Student,
        features: &[Tensor],
    ) -> Result<()> {
        let needs = self.modulation.as_ref().is_some_and(|m| m.needs_unimodal_logits());
        if !needs || self.progress.total_steps > 0 {
            return Ok(());
        }
        let _no_grad = tch::no_grad_guard();
        let mut each = self.modalities.iter().enumerate();
        each.try_for_each(|(m, name)| unimodal_logits(student, name, m, features).map(drop))
    }

    /// Lets the modulation change the gradients; the factor on each encoder's, if it changed any.
    pub(super) fn modulate(
        &mut self,
        student: &dyn Student,
        plan: &Plan,
        answer: &Answer,
        parts: &Parts<'_>,
    ) -> Result<Option<Vec<f64>>> {
        let Some(modulation) = &mut self.modulation else {
            return Ok(None);
        };
        let _no_grad = tch::no_grad_guard();
        let features: Vec<Tensor> = answer.features.iter().map(Tensor::detach).collect();
        let factors = modulation.modulate(&SeenGradients {
            at: self.progress,
            modalities: &self.modalities,
            plan,
            params: &self.params,
            targets: parts.whole().targets(),
            rows: parts.rows(),
            logits: &answer.logits.detach(),
            student,
            features: &features,
        })?;
        match &factors {
            Some(factors) if factors.len() != self.modalities.len() => Err(error::config(
                "factors of the gradient modulation",
                format!("{}, one for each of {:?}", self.modalities.len(), self.modalities),
                format!("{}", factors.len()),
                "mend the modulation",
            )),
            _ => Ok(factors),
        }
    }
}
