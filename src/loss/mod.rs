//! The loss L_G2D = L_S + α Σ_m L_feat^m + β Σ_m L_logit^m, the terms of balanced training, and the
//! confidence ρ.
//!
//! - [`Classification`]: cross-entropy over classes or soft labels, binary cross-entropy over labels; class
//!   weights, label smoothing, the focal loss, labels to ignore.
//! - [`Regression`]: mean squared, absolute or Huber error ([`Penalty`]).
//! - [`MultiTask`]: several of them, each on its columns of the output.
//! - [`WithTask`]: one of these with a closure as L_S.
//! - [`Distillation`]: weights, temperatures and the reduction of the feature term, for all losses.
//! - [`HeadTerm`], [`EnsembleTerm`]: the terms of balanced training.
//! - [`Confidence`]: ρ, implemented by [`TrueClassProbability`], [`ExponentialError`] and
//!   [`InverseError`].

mod balanced;
mod base;
mod classes;
mod classification;
mod compare;
mod confidence;
mod distillation;
mod labels;
mod multi_task;
mod penalty;
mod ranges;
mod regression;
mod sigmoid;
mod softmax;
mod targets;
mod task;
mod task_input;
mod weights;
mod with_task;

use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use balanced::{EnsembleTerm, HeadTarget, HeadTerm};
pub use classification::Classification;
pub use confidence::{
    Confidence, ConfidenceConfig, ExponentialError, InverseError, TrueClassProbability,
};
pub use distillation::{Distillation, FeatureReduction};
pub use labels::Labels;
pub use multi_task::MultiTask;
pub use penalty::Penalty;
pub use regression::Regression;
pub use task::{Task, TaskLoss, TaskTargets};
pub use task_input::TaskInput;
pub use with_task::WithTask;

use crate::batch::{Extras, Rows};
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
///         Ok(Terms::from_task(task))
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

    /// Returns the weights of the terms in `total` for `k` modalities. The trainer of a group of ranks needs
    /// them where ranks have different shares of a modality's samples, to add the terms up as those of one
    /// batch. `None`, the default, for a total that is not a weighted sum of the terms, or is L_S alone.
    fn term_weights(&self, k: usize) -> Option<TermWeights> {
        let _ = k;
        None
    }

    /// Returns the sum by which L_S of a batch with these targets is divided, a scalar ≥ 0: the sum of its
    /// samples' weights, for example. `None`, the default, for a mean over the samples. The trainer of a group
    /// of ranks weighs the L_S of each by it. It reads it, which synchronises with a device.
    ///
    /// # Errors
    /// [`Error::Config`] for a loss that cannot be combined over ranks.
    fn task_weight(&self, targets: &Tensor, extras: &Extras) -> Result<Option<Tensor>> {
        let _ = (targets, extras);
        Ok(None)
    }

    /// Returns whether `terms` needs the student's unimodal logits ([`Input::unimodal`]), which the
    /// trainer then computes with gradient in every step. By default it does not.
    fn needs_unimodal_logits(&self) -> bool {
        false
    }

    /// Returns ρ of logits [B, C] and their targets: a scalar, higher is stronger. Used unless the
    /// trainer is built with another [`Confidence`].
    ///
    /// # Errors
    /// [`Error::Torch`].
    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor>;

    /// The form of the targets of a classification, by which probes count correct predictions; `None` (the
    /// default) for any other loss, of which there are no accuracies.
    fn labels(&self) -> Option<Labels> {
        None
    }

    /// The label of samples that a classification ignores; `None` by default.
    fn ignore_index(&self) -> Option<i64> {
        None
    }
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

    fn term_weights(&self, k: usize) -> Option<TermWeights> {
        (**self).term_weights(k)
    }

    fn task_weight(&self, targets: &Tensor, extras: &Extras) -> Result<Option<Tensor>> {
        (**self).task_weight(targets, extras)
    }

    fn needs_unimodal_logits(&self) -> bool {
        (**self).needs_unimodal_logits()
    }

    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        (**self).confidence(logits, targets)
    }

    fn labels(&self) -> Option<Labels> {
        (**self).labels()
    }

    fn ignore_index(&self) -> Option<i64> {
        (**self).ignore_index()
    }
}

/// The input of a loss.
#[derive(Debug)]
pub struct Input<'a> {
    /// The modalities, in the student's order.
    pub modalities: &'a [Modality],
    /// Fused logits l_s [B, C].
    pub logits: &'a Tensor,
    /// Student features f_s^m [B, d_m], projected to the teacher's width if there is a projection. Empty,
    /// like modalities, teachers and rows, for the loss of
    /// [`Predictions`](crate::trainer::Predictions), where only L_S is read.
    pub features: &'a [Tensor],
    /// The teachers' outputs for the `rows` of their modalities, in the same order; empty without
    /// teachers, `None` for a modality that the whole batch lacks.
    pub teachers: &'a [Option<TeacherOutput>],
    /// The student's unimodal logits z_m [B, C], with gradient; `None` for a modality that the whole
    /// batch lacks, empty unless the loss needs them. Empty, like the teachers, where only L_S is read.
    pub unimodal: &'a [Option<Tensor>],
    /// The rows that have each modality: `rows[m].select` selects them from a tensor of B rows.
    pub rows: &'a [Rows],
    /// The targets, checked.
    pub targets: &'a Tensor,
    /// What [`Batch::with_extra`](crate::Batch::with_extra) has added, with B rows as the targets.
    pub extras: &'a Extras,
}

impl Input<'_> {
    /// The tensor [B, …] that [`Batch::with_extra`](crate::Batch::with_extra) has added under `name`, such
    /// as sample weights or the targets of a second task.
    ///
    /// # Errors
    /// [`Error::Config`], with the names that exist, if there is none.
    pub fn extra(&self, name: &str) -> Result<&Tensor> {
        self.extras.get(name)
    }

    /// The output of teacher `m`, if there is one for this batch.
    pub(crate) fn teacher(&self, m: usize) -> Option<&TeacherOutput> {
        self.teachers.get(m).and_then(Option::as_ref)
    }
}

/// The weights of the terms in the total of a loss.
#[derive(Debug, Clone, PartialEq)]
pub struct TermWeights {
    /// The weight of each term; that of the total is not read.
    pub terms: Terms<f64>,
    /// Whether L_head^m is the task term of the head of m, so that it is divided as L_S is.
    pub heads_learn_labels: bool,
}

/// The terms of the loss before their weights: scalar tensors, or numbers in a report.
///
/// `feature`, `logit` and `head` each have one entry per modality, or none for a loss without such terms.
/// An entry is `None` where its weight is 0, without what it compares, and where no row has m.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "T: Numbers")]
pub struct Terms<T = Tensor> {
    /// The weighted sum, which backward differentiates.
    #[serde(with = "number")]
    pub total: T,
    /// L_S.
    #[serde(with = "number")]
    pub task: T,
    /// L_feat^m.
    #[serde(with = "number")]
    pub feature: Vec<Option<T>>,
    /// L_logit^m.
    #[serde(with = "number")]
    pub logit: Vec<Option<T>>,
    /// L_head^m.
    #[serde(with = "number", default, skip_serializing_if = "Vec::is_empty")]
    pub head: Vec<Option<T>>,
    /// L_ens; `None` where its weight is 0, and without teachers.
    #[serde(with = "number", default, skip_serializing_if = "Option::is_none")]
    pub ensemble: Option<T>,
}

impl Terms {
    /// A loss that is L_S alone.
    pub fn from_task(task: Tensor) -> Self {
        Self {
            total: task.shallow_clone(),
            task,
            feature: Vec::new(),
            logit: Vec::new(),
            head: Vec::new(),
            ensemble: None,
        }
    }
}

impl<T> Terms<T> {
    /// The terms of modalities, by kind.
    pub(crate) fn of_modalities(&self) -> [&Vec<Option<T>>; 3] {
        [&self.feature, &self.logit, &self.head]
    }

    /// The terms that are not `None`: total, task, those of modalities, L_ens.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let each = self.of_modalities().into_iter().flatten().flatten();
        [&self.total, &self.task].into_iter().chain(each).chain(&self.ensemble)
    }

    /// Applies `each` to the terms, in the order of [`iter`](Self::iter).
    pub(crate) fn map<U>(&self, mut each: impl FnMut(&T) -> U) -> Terms<U> {
        let (total, task) = (each(&self.total), each(&self.task));
        let mut all =
            |terms: &[Option<T>]| terms.iter().map(|t| t.as_ref().map(&mut each)).collect();
        let [feature, logit, head] = [all(&self.feature), all(&self.logit), all(&self.head)];
        let ensemble = self.ensemble.as_ref().map(each);
        Terms { total, task, feature, logit, head, ensemble }
    }

    /// As [`map`](Self::map), but stops at the first error.
    pub(crate) fn try_map<U>(&self, mut each: impl FnMut(&T) -> Result<U>) -> Result<Terms<U>> {
        let (total, task) = (each(&self.total)?, each(&self.task)?);
        let mut all = |terms: &[Option<T>]| -> Result<Vec<Option<U>>> {
            terms.iter().map(|t| t.as_ref().map(&mut each).transpose()).collect()
        };
        let [feature, logit, head] = [all(&self.feature)?, all(&self.logit)?, all(&self.head)?];
        let ensemble = self.ensemble.as_ref().map(each).transpose()?;
        Ok(Terms { total, task, feature, logit, head, ensemble })
    }
}

/// An error of libtorch inside a loss.
fn torch(source: tch::TchError) -> Error {
    Error::torch("compute the loss", source)
}
