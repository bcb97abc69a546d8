//! Training or evaluation.

use serde::{Deserialize, Serialize};

/// Whether samples are transformed for training or for evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// With augmentation: random crops, flips, frames and audio segments.
    Train,
    /// Without augmentation: a sample is the same in every epoch, as
    /// [`Cached`](crate::teacher::Cached), which records outputs by sample id, requires.
    Evaluate,
}
