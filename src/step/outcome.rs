//! The outcome of a step.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::modality::Modality;

/// What the caller's optimizer may do after a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// The gradients are complete: step the optimizer, then zero the gradients.
    /// [`G2dTrainer::update`](crate::G2dTrainer::update) does both.
    Ready,
    /// The accumulation window is open: neither step the optimizer nor zero the gradients.
    Accumulating,
    /// The step and its whole accumulation window are undone. All gradients are undefined, so that an
    /// optimizer step changes nothing, and buffers are as they were before the window.
    Skipped(SkipCause),
}

impl StepOutcome {
    /// Returns whether the gradients are complete.
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }

    /// Returns the cause of a skipped step.
    pub fn skipped(&self) -> Option<&SkipCause> {
        match self {
            Self::Skipped(cause) => Some(cause),
            Self::Ready | Self::Accumulating => None,
        }
    }
}

/// An update of the parameters by [`G2dTrainer::update`](crate::G2dTrainer::update).
#[derive(Debug)]
#[non_exhaustive]
pub struct Update {
    /// The L2 norm of all gradients before they were clipped, a scalar on the device; `None` unless
    /// the trainer clips ([`Builder::clip_norm`](crate::trainer::Builder::clip_norm)), and without
    /// gradients.
    pub gradient_norm: Option<Tensor>,
}

/// Why a step was skipped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipCause {
    /// A gradient overflowed in fp16 under this loss scale; the next scale is smaller. Dynamic loss
    /// scaling works by such steps, so no [`NonFinite`](crate::trainer::NonFinite) policy counts them.
    Overflow {
        /// The scale that was too large.
        scale: f64,
    },
    /// A value was NaN or infinite.
    NonFinite(NonFiniteSource),
}

/// The first value of a step, in the order of computation, that is NaN or infinite.
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
    /// L_head of a modality.
    HeadTerm(Modality),
    /// L_ens.
    EnsembleTerm,
    /// A buffer of the student after its forward pass, such as the running variance of batch norm: the
    /// first by name.
    Buffer {
        /// The buffer's name in its `VarStore`.
        name: String,
        /// The modality whose encoder the buffer belongs to, if any.
        modality: Option<Modality>,
    },
    /// The weighted sum of finite terms, or a loss whose terms are not available.
    Total,
    /// The gradient of a parameter: the first by name.
    Gradient {
        /// The parameter's name in its `VarStore`.
        parameter: String,
        /// The modality whose encoder owns the parameter, if any.
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
            Self::HeadTerm(m) => write!(f, "head term of {m:?}"),
            Self::EnsembleTerm => f.write_str("ensemble term"),
            Self::Total => f.write_str("weighted sum"),
            Self::Gradient { parameter, modality } => {
                write!(f, "gradient of {parameter:?}")?;
                write_owner(f, modality.as_ref())
            }
            Self::Buffer { name, modality } => {
                write!(f, "buffer {name:?}")?;
                write_owner(f, modality.as_ref())
            }
        }
    }
}

fn write_owner(f: &mut fmt::Formatter<'_>, modality: Option<&Modality>) -> fmt::Result {
    modality.map_or(Ok(()), |m| write!(f, " in the encoder of modality {m:?}"))
}
