//! The form of class labels.

use serde::{Deserialize, Serialize};

/// The form of a classifier's targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// One class per sample: `Int64` labels \[B\] in `0..C`; softmax and cross-entropy.
    #[default]
    Single,
    /// Any number of labels per sample: 0 or 1 in a float tensor [B, C]; sigmoid and binary
    /// cross-entropy.
    Multi,
    /// The probabilities of the classes of every sample: rows ≥ 0 that sum to 1 in a float tensor
    /// [B, C]; softmax and cross-entropy.
    Soft,
}
