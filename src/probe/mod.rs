//! Probes look on while a model trains and measure how unequal its modalities are.
//!
//! From every step, as an [`ImbalanceProbe`]:
//! - [`ConfidenceRatio`]: the teachers' ρ and each one's ratio to the others.
//! - [`StudentConfidence`]: the same of the student's own unimodal logits.
//! - [`HeadAccuracy`]: how often each slice of the head is right, beside teachers and the whole.
//! - [`LossRatio`]: each head's smoothed loss and its ratio to the others; for regression too.
//! - [`GradientNorm`]: how large each encoder's gradient is.
//! - [`UpdateRatio`]: how far the optimizer moves each encoder, ‖Δθ‖ / ‖θ‖.
//! - [`GradientCosine`]: whether the loss's terms pull an encoder the same way.
//! - [`TeacherCka`]: how like its teacher's an encoder's features are.
//! - [`ModalityGap`]: how far apart the modalities' features lie.
//!
//! On held-out data, when the caller asks (`held_out/`):
//! - [`Shapley`]: what each modality contributes to the fused answer.
//! - [`LinearProbe`]: what each frozen encoder knows, whatever the fusion makes of it.
//!
//! `means.rs`, `ratio.rs` and `vectors.rs` are what they share;

mod cka;
mod confidence_ratio;
mod gradient_cosine;
mod gradient_norm;
mod head_accuracy;
pub mod held_out;
mod loss_ratio;
mod means;
mod modality_gap;
mod ratio;
mod student_confidence;
mod update_ratio;
mod vectors;

pub use cka::TeacherCka;
pub use confidence_ratio::ConfidenceRatio;
pub use gradient_cosine::GradientCosine;
pub use gradient_norm::GradientNorm;
pub use head_accuracy::HeadAccuracy;
pub use loss_ratio::LossRatio;
pub use modality_gap::ModalityGap;
pub use student_confidence::StudentConfidence;
pub use update_ratio::UpdateRatio;

use crate::{
    error::Result,
    state::State,
    step::{Measurement, Observation},
};

/// Measures imbalance from the steps it is shown.
///
/// # Contract
/// - Read-only: `observe` and `observe_terms` change no parameter, no gradient and no random state.
/// - `observe` is called when a step's gradients are ready, before the caller's optimizer steps,
///   without gradient: where gradients accumulate, at a window's last micro-batch; of a skipped step,
///   never. It should keep device tensors and leave reading them to `end_epoch`, since a read
///   waits for the device.
/// - What is measured of a modality leaves out the samples that lack it, and the steps whose whole
///   batch does.
/// - `end_epoch` returns what was measured since the last call and starts anew. Names are stable, a
///   measurement a name and modality, values finite.
pub trait ImbalanceProbe {
    /// Looks at the loss of one step before its backward, while the graph stands; does nothing by
    /// default. For what needs the gradient of a single term.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch); `step` passes it on before any gradient has changed.
    fn observe_terms(&mut self, step: &Observation<'_>) -> Result<()> {
        let _ = step;
        Ok(())
    }

    /// Looks at one step.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch); `step` passes it on after the gradients are made.
    fn observe(&mut self, step: &Observation<'_>) -> Result<()>;

    /// What the epoch showed.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch).
    fn end_epoch(&mut self) -> Result<Vec<Measurement>>;

    /// What [`restore`](Self::restore) needs to go on after a stop; nothing by default.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch) where reading it waits for a device that failed.
    fn state(&self) -> Result<State> {
        Ok(State::none())
    }

    /// Takes back what [`state`](Self::state) said, in a part of the same configuration.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for the state of another part; nothing has changed
    /// then.
    fn restore(&mut self, state: &State) -> Result<()> {
        state.expect_none("a probe that keeps none")
    }
}

const _: Option<&dyn ImbalanceProbe> = None; // stays object-safe

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

    fn state(&self) -> Result<State> {
        (**self).state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        (**self).restore(state)
    }
}

/// Is a step of the optimizer the first of `every`? Probes see a window's last micro-batch alone, so
/// it is windows that are counted.
fn is_due(step: &Observation<'_>, every: u64) -> bool {
    (step.at.step / step.micro_batch.count).is_multiple_of(every)
}
