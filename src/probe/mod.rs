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
//! `means.rs`, `ratio.rs` and `vectors.rs` are what they share; `seen.rs` is what they are shown.

mod cka;
mod confidence_ratio;
mod gradient_cosine;
mod gradient_norm;
mod head_accuracy;
mod held_out;
mod loss_ratio;
mod means;
mod modality_gap;
mod ratio;
mod seen;
mod student_confidence;
mod update_ratio;
mod vectors;

use serde::{Deserialize, Serialize};

pub use cka::TeacherCka;
pub use confidence_ratio::ConfidenceRatio;
pub use gradient_cosine::GradientCosine;
pub use gradient_norm::GradientNorm;
pub use head_accuracy::HeadAccuracy;
pub use held_out::{Absence, LinearProbe, Shapley, Worth};
pub use loss_ratio::LossRatio;
pub use modality_gap::ModalityGap;
pub use seen::{Observation, SeenTerms};
pub use student_confidence::StudentConfidence;
pub use update_ratio::UpdateRatio;

use crate::{Modality, Progress, Result, State, Window};

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
    /// [`Error::Torch`](crate::Error::Torch); `step` passes it on before any gradient has changed.
    fn observe_terms(&mut self, seen: &SeenTerms<'_>) -> Result<()> {
        let _ = seen;
        Ok(())
    }

    /// Looks at one step.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch); `step` passes it on after the gradients are made.
    fn observe(&mut self, seen: &Observation<'_>) -> Result<()>;

    /// What the epoch showed.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch).
    fn end_epoch(&mut self) -> Result<Vec<Measurement>>;

    /// What [`restore`](Self::restore) needs to go on after a stop; nothing by default.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) where reading it waits for a device that failed.
    fn state(&self) -> Result<State> {
        Ok(State::none())
    }

    /// Takes back what [`state`](Self::state) said, in a part of the same configuration.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for the state of another part; nothing has changed
    /// then.
    fn restore(&mut self, state: &State) -> Result<()> {
        state.expect_none("a probe that keeps none")
    }
}

const _: Option<&dyn ImbalanceProbe> = None; // stays object-safe

/// Is a step of the optimizer the first of `every`? Probes see a window's last micro-batch alone, so
/// it is windows that are counted.
fn is_due(at: Progress, window: Window, every: u64) -> bool {
    (at.step / window.length).is_multiple_of(every)
}

/// One number that a probe found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// The metric, in snake_case.
    pub metric: String,
    /// The modality it is about, if it is about one.
    pub modality: Option<Modality>,
    /// Its value.
    #[serde(with = "crate::number")]
    pub value: f64,
}

impl Measurement {
    /// A metric of one modality.
    pub fn of(metric: impl Into<String>, modality: &Modality, value: f64) -> Self {
        Self { metric: metric.into(), modality: Some(modality.clone()), value }
    }
}
