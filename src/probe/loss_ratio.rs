//! Which modality's head is behind, by its loss.

use super::{ImbalanceProbe, means::Means, ratio};
use crate::{
    error::{self, Result},
    state::State,
    step::{Measurement, Observation},
};

/// L_S of each modality's unimodal logits, smoothed over the epoch's steps (`head_loss`), and its ratio
/// to the others (`loss_ratio`): for modality m the mean over j ≠ m of s^m / s^j.
///
/// s_t = λ s_{t−1} + (1 − λ) L_t from s_0 = 0, divided by 1 − λ^t, so that the first steps do not pull
/// it to 0; read at the epoch's end. 1 is balance; the modality above 1 is behind. It needs no
/// classes: it works for regression. Ratios to a loss that is 0 are left out.
///
/// Of a student without [`unimodal_logits`](crate::student::Student::unimodal_logits) it measures nothing.
/// Costs the heads once a step, shared with the other probes that read them, and their loss; no wait.
///
/// Source: the loss ratios of Chen et al., "GradNorm", ICML 2018, between modalities in place of tasks;
/// the bias correction of Kingma & Ba, "Adam", ICLR 2015.
#[derive(Debug)]
pub struct LossRatio {
    smoothing: f64,
    loss: Means,
}

impl LossRatio {
    /// With λ = `smoothing` in [0, 1): 0 looks at the last step alone, 0.9 at about the last ten.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a λ outside.
    pub fn smoothed(smoothing: f64) -> Result<Self> {
        if (0.0..1.0).contains(&smoothing) {
            return Ok(Self { smoothing, ..Self::default() });
        }
        Err(error::config(
            "smoothing of LossRatio",
            "λ in [0, 1)",
            format!("{smoothing}"),
            "0.9 averages over about ten steps",
        ))
    }
}

impl Default for LossRatio {
    /// λ = 0.9.
    fn default() -> Self {
        Self { smoothing: 0.9, loss: Means::new("head_loss") }
    }
}

impl ImbalanceProbe for LossRatio {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        for m in 0..step.modalities().len() {
            if let Some(logits) = step.unimodal_logits(m)? {
                let loss = step.task_loss(m, &logits)?;
                let mean = self.loss.of(step.modalities(), m);
                mean.fade(self.smoothing);
                mean.add(&loss, 1.0 - self.smoothing)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let mut found = self.loss.take()?;
        found.extend(ratio::pairwise("loss_ratio", &found));
        Ok(found)
    }

    fn state(&self) -> Result<State> {
        Means::save(&[&self.loss])
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut [&mut self.loss])
    }
}
