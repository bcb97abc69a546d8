//! The loss L_G2D = L_S + α Σ_m L_feat^m + β Σ_m L_logit^m, and the confidence ρ.
//!
//! - [`Classification`]: cross-entropy over classes, or binary cross-entropy over labels.
//! - [`Regression`]: mean squared error.
//! - [`Distillation`]: weights, temperatures and the reduction of the feature term, for both losses.
//! - [`Confidence`]: ρ, implemented by [`TrueClassProbability`], [`ExponentialError`] and
//!   [`InverseError`].

mod classification;
mod confidence;
mod distillation;
mod labels;
mod regression;

use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use classification::Classification;
pub use confidence::{
    Confidence, ConfidenceConfig, ExponentialError, InverseError, TrueClassProbability,
};
pub use distillation::{Distillation, FeatureReduction};
pub use labels::Labels;
pub use regression::Regression;

use crate::batch::Rows;
use crate::error::{Error, Result};
use crate::modality::Modality;
use crate::number::{self, Numbers};
use crate::teacher::TeacherOutput;

/// The loss of a step, and the confidence ρ that ranks the teachers.
///
/// # Contract
/// - Tensor operations only: no state, and no synchronisation with the device. `check_targets` may read
///   targets that are in host memory.
/// - `terms` and `confidence` compute in the dtype of the logits; `total` is a scalar connected to the
///   graph of `logits` and `features`.
/// - The trainer calls `check` once, in `build`; then, in each step, `check_targets`, `confidence` for
///   every teacher (with the rows of the batch that have its modality), and `terms`.
/// - L_feat^m, L_logit^m and any other term of modality m cover the rows `input.rows[m]` alone; a
///   modality that the whole batch lacks has no terms.
///
/// # Example
/// ```
/// use g2d::{G2dLoss, Modality, Result, loss::{Input, Regression, Terms}};
/// use tch::{Reduction, Tensor};
///
/// /// Mean absolute error, without distillation.
/// struct MeanAbsoluteError;
///
/// impl G2dLoss for MeanAbsoluteError {
///     fn check(&self, _modalities: &[Modality]) -> Result<()> { Ok(()) }
///     fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
///         Regression::default().check_targets(logits, targets)
///     }
///     fn terms(&self, input: &Input<'_>) -> Result<Terms> {
///         let targets = input.targets.f_reshape_as(input.logits)?;
///         let task = input.logits.f_l1_loss(&targets, Reduction::Mean)?;
///         let none = || input.modalities.iter().map(|_| None).collect();
///         Ok(Terms { total: task.shallow_clone(), task, feature: none(), logit: none() })
///     }
///     fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
///         Regression::default().confidence(logits, targets)
///     }
/// }
/// ```
pub trait G2dLoss {
    /// Checks the configuration against the modalities.
    ///
    /// # Errors
    /// [`Error::Config`], which names the setting.
    fn check(&self, modalities: &[Modality]) -> Result<()>;

    /// Checks targets against logits of shape [B, C].
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] or [`Error::Target`].
    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()>;

    /// Returns the terms of the loss.
    ///
    /// # Errors
    /// [`Error::Shape`], [`Error::Kind`] or [`Error::Device`] if features or logits of student and
    /// teacher do not match.
    fn terms(&self, input: &Input<'_>) -> Result<Terms>;

    /// Returns ρ of logits [B, C] and their targets: a scalar, higher is stronger. Used unless the
    /// trainer is built with another [`Confidence`].
    ///
    /// # Errors
    /// [`Error::Torch`].
    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor>;
}

const _: Option<&dyn G2dLoss> = None; // stays object-safe

impl<T: G2dLoss + ?Sized> G2dLoss for Box<T> {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        (**self).check(modalities)
    }

    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        (**self).check_targets(logits, targets)
    }

    fn terms(&self, input: &Input<'_>) -> Result<Terms> {
        (**self).terms(input)
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        (**self).confidence(logits, targets)
    }
}

/// The input of a loss.
#[derive(Debug)]
pub struct Input<'a> {
    /// The modalities, in the student's order.
    pub modalities: &'a [Modality],
    /// Fused logits l_s [B, C].
    pub logits: &'a Tensor,
    /// Student features f_s^m [B, d_m], projected to the teacher's width if there is a projection.
    pub features: &'a [Tensor],
    /// The teachers' outputs for the `rows` of their modalities, in the same order; empty without
    /// teachers, `None` for a modality that the whole batch lacks.
    pub teachers: &'a [Option<TeacherOutput>],
    /// The rows that have each modality: `rows[m].select` selects them from a tensor of B rows.
    pub rows: &'a [Rows],
    /// The targets, checked.
    pub targets: &'a Tensor,
}

/// The terms of the loss before their weights: scalar tensors, or numbers in a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "T: Numbers")]
pub struct Terms<T = Tensor> {
    /// L_G2D, the weighted sum, which backward differentiates.
    #[serde(with = "number")]
    pub total: T,
    /// L_S.
    #[serde(with = "number")]
    pub task: T,
    /// L_feat^m; `None` where its weight is 0, without a teacher, and where no row has m.
    #[serde(with = "number")]
    pub feature: Vec<Option<T>>,
    /// L_logit^m; `None` where its weight is 0, without a teacher, and where no row has m.
    #[serde(with = "number")]
    pub logit: Vec<Option<T>>,
}

impl<T> Terms<T> {
    /// The terms that are not `None`: total, task, feature terms, logit terms.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let each = self.feature.iter().chain(&self.logit).flatten();
        [&self.total, &self.task].into_iter().chain(each)
    }

    /// Applies `each` to the terms, in the order of [`iter`](Self::iter).
    pub(crate) fn map<U>(&self, mut each: impl FnMut(&T) -> U) -> Terms<U> {
        let (total, task) = (each(&self.total), each(&self.task));
        let mut all =
            |terms: &[Option<T>]| terms.iter().map(|t| t.as_ref().map(&mut each)).collect();
        Terms { total, task, feature: all(&self.feature), logit: all(&self.logit) }
    }

    /// As [`map`](Self::map), but stops at the first error.
    pub(crate) fn try_map<U>(&self, mut each: impl FnMut(&T) -> Result<U>) -> Result<Terms<U>> {
        let (total, task) = (each(&self.total)?, each(&self.task)?);
        let mut all = |terms: &[Option<T>]| {
            terms.iter().map(|t| t.as_ref().map(&mut each).transpose()).collect::<Result<_>>()
        };
        Ok(Terms { total, task, feature: all(&self.feature)?, logit: all(&self.logit)? })
    }
}

/// An error of libtorch inside a loss.
fn torch(source: tch::TchError) -> Error {
    Error::torch("compute the loss", source)
}
