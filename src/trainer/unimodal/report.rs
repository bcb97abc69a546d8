//! The result of training a teacher.

use serde::{Deserialize, Serialize};

use crate::number;

/// The epoch whose weights a teacher keeps.
///
/// ρ is measured on training data: it is a measure of how well a modality can be *fitted*. A teacher
/// that stopped early has fitted less, so its ρ is lower and SMP may suppress the wrong modality. Use
/// [`Last`](Self::Last) for teachers that rank modalities, unless validation data favours
/// [`Best`](Self::Best), whose features and logits may be better targets of distillation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeepWeights {
    /// The last epoch.
    #[default]
    Last,
    /// The epoch with the highest score on validation data; the first of equals. The authors' choice
    /// (with their test data).
    Best,
}

/// One epoch of a teacher's training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TeacherEpoch {
    /// Index of the epoch, counted from 0.
    pub epoch: u64,
    /// Mean L_S over the training samples.
    #[serde(with = "number")]
    pub loss: f64,
    /// Score on the validation data; higher is better.
    #[serde(with = "number")]
    pub score: f64,
}

/// The result of [`UnimodalTrainer::train`](super::UnimodalTrainer::train). The weights are in the
/// `VarStore`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedTeacher {
    /// The epochs, in order.
    pub epochs: Vec<TeacherEpoch>,
    /// Index of the epoch whose weights were kept.
    pub kept: u64,
    /// Score of that epoch.
    #[serde(with = "number")]
    pub score: f64,
    /// Whether patience ended the training.
    pub stopped_early: bool,
}
