//! What became of a step, and what happens to one that is not finite.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Modality;

/// What the caller's optimizer may do after a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// The gradients are complete: step the optimizer, then `zero_grad`.
    Ready,
    /// More micro-batches of the window are to come: neither step the optimizer nor `zero_grad`.
    Accumulating,
    /// The step was undone with its whole window: all gradients are undefined, so an optimizer that
    /// is stepped moves nothing, and running statistics are as they were before the window.
    Skipped(Skipped),
}

impl StepOutcome {
    /// Are the gradients complete?
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }

    /// Why the step was skipped, if it was.
    pub fn skipped(&self) -> Option<&Skipped> {
        match self {
            Self::Skipped(why) => Some(why),
            Self::Ready | Self::Accumulating => None,
        }
    }
}

/// Why a step was skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// A gradient overflowed in fp16 under this loss scale; the next one is smaller. Now and then
    /// that is how the scale is found, and no policy of [`NonFinite`] counts it.
    Overflow {
        /// The scale that was too large.
        scale: f64,
    },
    /// A number was not finite.
    NonFinite(NonFiniteSource),
}

/// What happens to a step whose loss, gradient, teacher or target is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFinite {
    /// A loss that is not finite is an error, at once on the CPU, else when it is read. Gradients are
    /// not looked at, and nothing waits for the device.
    #[default]
    Error,
    /// The step is skipped and its report says why: [`StepOutcome::Skipped`]. Gradients are looked at
    /// too, when they are complete: one pass over them, one wait for the device a step, and a copy
    /// of the running statistics.
    Skip,
    /// As `Skip`; so many skipped steps in a row are an error. 1: the first is.
    StopAfter(u32),
}

/// The first thing that was not finite, in the order of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonFiniteSource {
    /// The batch's input of a modality.
    Input(Modality),
    /// The batch's targets.
    Targets,
    /// A teacher's features.
    TeacherFeatures(Modality),
    /// A teacher's logits.
    TeacherLogits(Modality),
    /// ρ of a modality.
    Confidence(Modality),
    /// The student's features of a modality.
    Features(Modality),
    /// The student's fused logits.
    Logits,
    /// L_S.
    TaskTerm,
    /// L_feat of a modality.
    FeatureTerm(Modality),
    /// L_logit of a modality.
    LogitTerm(Modality),
    /// The weighted sum of terms that are finite, or a loss of which nothing more is known.
    Total,
    /// The gradient of a parameter: the first by name.
    Gradient {
        /// The parameter's name in its `VarStore`.
        parameter: String,
        /// The modality whose encoder has it, if one has.
        modality: Option<Modality>,
    },
}

impl fmt::Display for NonFiniteSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(m) => write!(f, "input of modality {m:?}"),
            Self::Targets => f.write_str("targets"),
            Self::TeacherFeatures(m) => write!(f, "features of teacher {m:?}"),
            Self::TeacherLogits(m) => write!(f, "logits of teacher {m:?}"),
            Self::Confidence(m) => write!(f, "confidence ρ of modality {m:?}"),
            Self::Features(m) => write!(f, "student's features of modality {m:?}"),
            Self::Logits => f.write_str("student's logits"),
            Self::TaskTerm => f.write_str("task term"),
            Self::FeatureTerm(m) => write!(f, "feature term of {m:?}"),
            Self::LogitTerm(m) => write!(f, "logit term of {m:?}"),
            Self::Total => f.write_str("weighted sum"),
            Self::Gradient { parameter, modality: Some(m) } => {
                write!(f, "gradient of {parameter:?} in the encoder of modality {m:?}")
            }
            Self::Gradient { parameter, modality: None } => {
                write!(f, "gradient of {parameter:?}")
            }
        }
    }
}
