//! L_G2D = L_S + α Σ_m L_feat^m + β Σ_m L_logit^m, and the confidence ρ.
//!
//! - [`Classification`]: cross-entropy over classes, or binary cross-entropy over labels.
//! - [`Regression`]: mean squared error.
//! - [`Distillation`]: weights, temperatures and the reduction of the feature term, for both.
//! - [`Confidence`]: ρ; [`TrueClassProbability`], [`ExponentialError`], [`InverseError`].

mod classification;
mod confidence;
mod distillation;
mod regression;

use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use classification::{Classification, Labels};
pub use confidence::{
    Confidence, ConfidenceConfig, ExponentialError, InverseError, TrueClassProbability,
};
pub use distillation::{Distillation, FeatureReduction};
pub use regression::Regression;

use crate::{
    batch::Rows,
    error::{Error, Result},
    modality::Modality,
    number::{self, Numbers},
    teacher::TeacherOutput,
};

/// The objective of a step, and the measure by which teachers are ranked.
///
/// # Contract
/// - Pure tensor mathematics: no state, no wait for the device except to refuse bad targets that
///   are in host memory already.
/// - `terms` and `confidence` compute in the kind of the logits; `total` is a scalar connected to
///   the graph of `logits` and `features`.
/// - The trainer calls `check` once at build, then per step `check_targets`, `confidence` for every
///   teacher (with the rows of the batch that have its modality), and `terms`.
/// - L_feat^m and L_logit^m, and whatever else is of modality m, are taken over the rows
///   `input.rows[m]` alone; a modality that is missing in the whole batch has no terms.
pub trait G2dLoss {
    /// Checks the configuration against the modalities.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config), naming the setting.
    fn check(&self, modalities: &[Modality]) -> Result<()>;

    /// Checks targets against logits of the shape [B, C].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::error::Error::Shape), [`Error::Kind`](crate::error::Error::Kind) or
    /// [`Error::Target`](crate::error::Error::Target).
    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()>;

    /// The loss, term by term.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::error::Error::Shape) where features or logits of student and teacher do not
    /// match.
    fn terms(&self, input: &Input<'_>) -> Result<Terms>;

    /// ρ: how well logits [B, C] know their targets; a scalar tensor, higher is stronger. The trainer
    /// takes it unless it was built with another [`Confidence`].
    ///
    /// # Errors
    /// [`Error::Torch`](crate::error::Error::Torch).
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

/// What the loss is computed from.
#[derive(Debug)]
pub struct Input<'a> {
    /// The modalities, in the student's order.
    pub modalities: &'a [Modality],
    /// Fused logits l_s [B, C].
    pub logits: &'a Tensor,
    /// Student features f_s^m [B, d_m], projected to the teacher's width where there is a projection.
    pub features: &'a [Tensor],
    /// The teachers' answers on the `rows` of their modalities, in the same order, or none at all;
    /// `None` for a modality that is missing in the whole batch.
    pub teachers: &'a [Option<TeacherOutput>],
    /// The rows that have each modality: `rows[m].select` takes them from a tensor of B rows.
    pub rows: &'a [Rows],
    /// The targets, checked.
    pub targets: &'a Tensor,
}

/// The terms of the loss, each before its weight: scalar tensors, or numbers in a report.
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
    /// All terms that there are: total, task, then feature and logit terms.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let each = self.feature.iter().chain(&self.logit).flatten();
        [&self.total, &self.task].into_iter().chain(each)
    }

    /// The terms with `each` applied, in the order of [`iter`](Self::iter).
    pub(crate) fn map<U>(&self, mut each: impl FnMut(&T) -> U) -> Terms<U> {
        let (total, task) = (each(&self.total), each(&self.task));
        let mut all =
            |terms: &[Option<T>]| terms.iter().map(|t| t.as_ref().map(&mut each)).collect();
        Terms { total, task, feature: all(&self.feature), logit: all(&self.logit) }
    }

    /// As [`map`](Self::map), up to the first error.
    pub(crate) fn try_map<U>(&self, mut each: impl FnMut(&T) -> Result<U>) -> Result<Terms<U>> {
        let (total, task) = (each(&self.total)?, each(&self.task)?);
        let mut all = |terms: &[Option<T>]| {
            terms.iter().map(|t| t.as_ref().map(&mut each).transpose()).collect::<Result<_>>()
        };
        Ok(Terms { total, task, feature: all(&self.feature)?, logit: all(&self.logit)? })
    }
}

/// tch's error in this folder's words.
fn torch(source: tch::TchError) -> Error {
    Error::torch("compute the loss", source)
}
