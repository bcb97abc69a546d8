//! Probes look on while a model trains and measure how unequal its modalities are.
//!
//! - [`ConfidenceRatio`]: the teachers' ρ and each one's ratio to the others.
//! - [`GradientNorm`]: how large each encoder's gradient is.

mod confidence_ratio;
mod gradient_norm;

use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use confidence_ratio::ConfidenceRatio;
pub use gradient_norm::GradientNorm;

use crate::{Batch, Modality, ModalityParams, Result, Rows, State, StepReport, TeacherOutput};

/// Measures imbalance from the steps it is shown.
///
/// # Contract
/// - Read-only: `observe` changes no parameter, no gradient and no random state.
/// - `observe` is called after each successful backward, before the caller's optimizer steps, without
///   gradient; it should keep device tensors and leave reading them to `end_epoch`, since a read
///   waits for the device.
/// - What is measured of a modality leaves out the samples that lack it, and the steps whose whole
///   batch does.
/// - `end_epoch` returns what was measured since the last call and starts anew. Names are stable, a
///   measurement a name and modality, values finite.
pub trait ImbalanceProbe {
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

/// All that there is to see in a step.
#[derive(Debug)]
pub struct Observation<'a> {
    /// Position, plan, loss terms, ρ and fused logits, detached.
    pub report: &'a StepReport,
    /// The modalities, in the student's order.
    pub modalities: &'a [Modality],
    /// The batch.
    pub batch: &'a Batch,
    /// The encoders' parameters with the gradients that the optimizer will see.
    pub params: &'a ModalityParams,
    /// The rows of the batch that have each modality.
    pub rows: &'a [Rows],
    /// The student's features [B, d_m], detached; zeros where a sample lacks m.
    pub features: &'a [Tensor],
    /// The teachers' answers on the `rows` of their modalities, or none at all; `None` for a modality
    /// that the whole batch lacks.
    pub teachers: &'a [Option<TeacherOutput>],
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
