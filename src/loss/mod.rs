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

use tch::Tensor;

pub use classification::{Classification, Labels};
pub use confidence::{
    Confidence, ConfidenceKind, ExponentialError, InverseError, TrueClassProbability,
};
pub use distillation::{Distillation, FeatureReduction};
pub use regression::Regression;

use crate::{Modality, Result, Rows, TeacherOutput};

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
    /// [`Error::Config`](crate::Error::Config), naming the setting.
    fn check(&self, modalities: &[Modality]) -> Result<()>;

    /// Checks targets against logits of the shape [B, C].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape), [`Error::Kind`](crate::Error::Kind) or
    /// [`Error::Target`](crate::Error::Target).
    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()>;

    /// The loss, term by term.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) where features or logits of student and teacher do not
    /// match.
    fn terms(&self, input: &LossInput<'_>) -> Result<LossTerms>;

    /// ρ: how well logits [B, C] know their targets; a scalar tensor, higher is stronger. The trainer
    /// takes it unless it was built with another [`Confidence`].
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch).
    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor>;
}

const _: Option<&dyn G2dLoss> = None; // stays object-safe

/// What the loss is computed from.
#[derive(Debug)]
pub struct LossInput<'a> {
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

/// The loss, term by term: scalars, each before its weight.
#[derive(Debug)]
pub struct LossTerms {
    /// The weighted sum, to be differentiated.
    pub total: Tensor,
    /// L_S.
    pub task: Tensor,
    /// L_feat^m; `None` where its weight is 0, there is no teacher, or no row has m.
    pub feature: Vec<Option<Tensor>>,
    /// L_logit^m; `None` where its weight is 0, there is no teacher, or no row has m.
    pub logit: Vec<Option<Tensor>>,
}

/// tch's error in this folder's words.
fn torch(source: tch::TchError) -> crate::Error {
    crate::Error::torch("compute the loss", source)
}
