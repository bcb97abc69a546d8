//! The result of a step.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Detail, MicroBatch, StepOutcome};
use crate::error::Result;
use crate::loss::Terms;
use crate::schedule::{Plan, Progress};
use crate::{number, transfer};

/// The result of one step. Its tensors are detached and stay on the device.
///
/// Reading a tensor synchronises with the device. [`read`](Self::read) reads all scalars at once.
#[derive(Debug)]
pub struct StepReport {
    /// The position of the step in the training run.
    pub at: Progress,
    /// The plan of the scheduler; κ is 0 for a modality that the whole batch lacks.
    pub plan: Plan,
    /// The factor by which the [`Modulate`](crate::modulation::Modulate) of the trainer changed each
    /// encoder's gradient; `None` without a modulation and where it changed nothing.
    pub modulation: Option<Vec<f64>>,
    /// The position in the accumulation window.
    pub micro_batch: MicroBatch,
    /// What the optimizer may do now.
    pub outcome: StepOutcome,
    /// Batch size B.
    pub batch_size: i64,
    /// Number of samples that have each modality: B unless the batch has presence flags.
    pub present: Vec<i64>,
    /// The terms of the loss: scalars before their weights, and their weighted sum.
    pub terms: Terms,
    /// ρ of every modality, scalars; `None` without teachers, and where the whole batch lacks the
    /// modality.
    pub confidence: Vec<Option<Tensor>>,
    /// The fused logits or predictions [B, C].
    pub logits: Tensor,
    /// The values that only the [`Algorithm`](crate::algorithm::Algorithm) of the step has; none of
    /// [`G2dTrainer`](crate::G2dTrainer).
    pub details: Vec<Detail>,
}

/// A [`StepReport`] as numbers. In JSON a number that is not finite is `"NaN"`, `"inf"` or `"-inf"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepValues {
    /// The position of the step in the training run.
    pub at: Progress,
    /// What the optimizer was allowed to do.
    pub outcome: StepOutcome,
    /// κ of every modality as applied: the plan's κ times the modulation's factor.
    #[serde(with = "number")]
    pub kappa: Vec<f64>,
    /// The terms of the loss before their weights, and their weighted sum.
    #[serde(flatten)]
    pub terms: Terms<f64>,
    /// ρ of every modality; `None` without teachers, and where the whole batch lacks the modality.
    #[serde(with = "number")]
    pub confidence: Vec<Option<f64>>,
}

impl StepReport {
    /// Returns κ of every modality as applied: the plan's κ times the modulation's factor.
    pub fn kappa(&self) -> Vec<f64> {
        let planned = self.plan.kappa();
        match &self.modulation {
            None => planned.to_vec(),
            Some(factors) => planned.iter().zip(factors).map(|(k, factor)| k * factor).collect(),
        }
    }

    /// Returns whether something that happens every so many steps, such as a record or a snapshot, is due
    /// after this step: the number of finished steps of the run is a multiple of `every`. With accumulation
    /// it is due at the end of the window in which the multiple lies; for 0 never.
    pub fn is_due(&self, every: u64) -> bool {
        let open = self.outcome == StepOutcome::Accumulating;
        let finished = self.at.total_steps + 1;
        let past = finished.checked_rem(every);
        !open && past.is_some_and(|past| past <= self.micro_batch.index)
    }

    /// Reads every scalar in one transfer; synchronises with the device.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if the device has failed.
    pub fn read(&self) -> Result<StepValues> {
        let scalars = self.terms.iter().chain(self.confidence.iter().flatten());
        let scalars: Vec<Tensor> = scalars.map(Tensor::shallow_clone).collect();
        let mut values = transfer::read_scalars(&scalars)?.into_iter();
        let mut next = |_: &Tensor| values.next().unwrap_or(f64::NAN);
        Ok(StepValues {
            at: self.at,
            outcome: self.outcome.clone(),
            kappa: self.kappa(),
            terms: self.terms.map(&mut next),
            confidence: self.confidence.iter().map(|rho| rho.as_ref().map(&mut next)).collect(),
        })
    }
}
