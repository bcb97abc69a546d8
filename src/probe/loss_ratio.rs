//! Smoothed losses of the unimodal heads and their ratio.

use super::{ImbalanceProbe, means::Means};
use crate::error::{self, Result};
use crate::step::{Measurement, Observation};

/// The smoothed loss of each unimodal head and its ratio to the other heads.
///
/// - `head_loss`: s^m, the exponential moving average of L_S of the student's
///   [unimodal logits](crate::Student::unimodal_logits) at the end of the epoch. It starts anew in every
///   epoch, with s_0 = 0, s_t = λ s_{t−1} + (1 − λ) L_t and the bias correction s_t / (1 − λ^t).
/// - `loss_ratio`: the mean over j ≠ m of s^m / s^j. It is 1 for balanced modalities and above 1 for one
///   that lags behind.
///
/// Modalities without unimodal logits and ratios to a loss of 0 are omitted. Works for regression, too.
/// Cost: the unimodal heads once per step, shared with the other probes that use them, and their loss.
///
/// Sources: the loss ratios of Chen et al., "GradNorm", ICML 2018, between modalities instead of tasks;
/// the bias correction of Kingma & Ba, "Adam", ICLR 2015.
#[derive(Debug)]
pub struct LossRatio {
    smoothing: f64,
    loss: Means,
}

impl LossRatio {
    /// With smoothing factor λ in [0, 1): 0 is the loss of the last step, 0.9 averages over about ten.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a λ outside [0, 1).
    pub fn with_smoothing(smoothing: f64) -> Result<Self> {
        if (0.0..1.0).contains(&smoothing) {
            return Ok(Self { smoothing, ..Self::default() });
        }
        Err(error::out_of_range("smoothing factor λ of LossRatio", "a number in [0, 1)", smoothing))
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
            if step.combined.is_missing(m) || !step.has_unimodal_logits(m)? {
                continue;
            }
            let mean = self.loss.modality(step.modalities(), m);
            mean.fade(self.smoothing);
            let rank = step.weight_of_rank();
            let weight = (1.0 - self.smoothing) * rank;
            let share = step.combined.share_of_task(m);
            match step.unimodal_logits(m)? {
                Some(logits) if share > 0.0 => {
                    let loss = step.task_loss(m, &logits)?;
                    mean.add_part(&loss, share / rank, weight)?;
                }
                _ => mean.add_zero(weight), // other ranks have the samples
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.loss.take_with_ratios("loss_ratio")
    }

    means_state!(loss);
}
