//! Probes: measurements of modality imbalance.
//!
//! An [`ImbalanceProbe`] observes every training step:
//! - [`ConfidenceRatio`], [`StudentConfidence`]: ρ of the teachers and of the student's unimodal heads.
//! - [`HeadAccuracy`]: accuracy of the unimodal heads, the teachers and the fused model.
//! - [`LossRatio`]: smoothed loss of each unimodal head; for regression, too.
//! - [`GradientNorm`], [`UpdateRatio`]: size of each encoder's gradients and updates.
//! - [`GradientCosine`]: conflicts between the terms of the loss.
//! - [`TeacherCka`]: similarity of student and teacher features.
//! - [`ModalityGap`]: distance between the modalities' features.
//!
//! [`held_out`] has the measures that need held-out data.

#[macro_use]
mod means;

mod confidence_ratio;
mod gradient_cosine;
mod gradient_norm;
mod head_accuracy;
pub mod held_out;
mod interval;
mod loss_ratio;
mod modality_gap;
mod student_confidence;
mod teacher_cka;
mod update_ratio;
mod vectors;

pub use confidence_ratio::ConfidenceRatio;
pub use gradient_cosine::GradientCosine;
pub use gradient_norm::GradientNorm;
pub use head_accuracy::HeadAccuracy;
pub use loss_ratio::LossRatio;
pub use modality_gap::ModalityGap;
pub use student_confidence::StudentConfidence;
pub use teacher_cka::TeacherCka;
pub use update_ratio::UpdateRatio;

use crate::error::Result;
use crate::modality::Modality;
use crate::state::State;
use crate::step::{Measurement, Observation};

/// A measurement that is taken over the steps of an epoch.
///
/// [`Builder::probe`](crate::trainer::Builder::probe) adds a probe to a trainer;
/// [`EpochReport::measurements`](crate::EpochReport::measurements) has its results.
///
/// # Contract
/// - A probe changes no parameter, gradient or random state.
/// - [`observe`](Self::observe) runs without gradient, after the step's gradients are complete and before
///   the caller steps the optimizer; under gradient accumulation only in the last micro-batch of a window.
///   Skipped steps are not observed.
/// - Reading a tensor synchronises with the device, so a probe keeps tensors on the device and reads
///   them in [`end_epoch`](Self::end_epoch).
/// - A measurement of one modality excludes samples and steps that lack the modality.
/// - Each call of `end_epoch` covers the steps since the last one. Names are stable, each pair of name
///   and modality occurs once, and values are finite. A measurement of tensors that are not finite is
///   NaN or infinite, never a plausible number.
///
/// # Example
/// ```
/// use g2d::{ImbalanceProbe, Result, step::{Measurement, Observation}};
///
/// /// The share of steps in which every encoder is trained.
/// #[derive(Default)]
/// struct JointShare {
///     joint: u64,
///     steps: u64,
/// }
///
/// impl ImbalanceProbe for JointShare {
///     fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
///         self.steps += 1;
///         self.joint += u64::from(step.plan.kappa().iter().all(|&kappa| kappa > 0.0));
///         Ok(())
///     }
///
///     fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
///         let Self { joint, steps } = std::mem::take(self);
///         let value = joint as f64 / steps.max(1) as f64;
///         Ok(vec![Measurement { metric: "joint_share".into(), modality: None, value }])
///     }
/// }
/// ```
pub trait ImbalanceProbe {
    /// Observes a step before backward, while single terms of the loss can be differentiated. Does
    /// nothing by default.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch). The step fails with the error before any gradient changes.
    fn observe_terms(&mut self, step: &Observation<'_>) -> Result<()> {
        let _ = step;
        Ok(())
    }

    /// Observes a step whose gradients are complete.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch). The step fails with the error after its gradients are made.
    fn observe(&mut self, step: &Observation<'_>) -> Result<()>;

    /// Returns the measurements of the epoch and starts a new one.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch).
    fn end_epoch(&mut self) -> Result<Vec<Measurement>>;

    /// Adds up over the ranks of a group what the probe has observed on each, before
    /// [`end_epoch`](Self::end_epoch). `sum` returns the sums of numbers over all ranks, and must be called on
    /// all of them with as many numbers. Does nothing by default: then the measurements of a rank are those of
    /// its own batches.
    ///
    /// # Errors
    /// Any error of `sum`; [`Error::Torch`](crate::Error::Torch).
    fn combine(
        &mut self,
        modalities: &[Modality],
        sum: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
    ) -> Result<()> {
        let _ = (modalities, sum);
        Ok(())
    }

    /// Returns the state that a checkpoint stores; empty by default.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if the device has failed.
    fn state(&self) -> Result<State> {
        Ok(State::none())
    }

    /// Restores a state that [`state`](Self::state) returned for the same configuration.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the state of another probe; nothing changes then.
    fn restore(&mut self, state: &State) -> Result<()> {
        state.expect_none("a probe without state")
    }
}

const _: Option<&dyn ImbalanceProbe> = None; // object-safe

impl<T: ImbalanceProbe + ?Sized> ImbalanceProbe for Box<T> {
    fn observe_terms(&mut self, step: &Observation<'_>) -> Result<()> {
        (**self).observe_terms(step)
    }

    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        (**self).observe(step)
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        (**self).end_epoch()
    }

    fn combine(
        &mut self,
        modalities: &[Modality],
        sum: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
    ) -> Result<()> {
        (**self).combine(modalities, sum)
    }

    fn state(&self) -> Result<State> {
        (**self).state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }
}
