//! What a run ends with.

use serde::{Deserialize, Serialize};

use crate::number;

/// What a run ends with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Final numbers, such as `test_accuracy`.
    #[serde(default, with = "number::named")]
    pub scores: Vec<(String, f64)>,
    /// What was found out about the balance of its modalities.
    #[serde(default)]
    pub diagnosis: Vec<Finding>,
}

/// A finding in plain words, with the numbers that it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What was found, and what to do about it.
    pub text: String,
    /// The numbers that it rests on.
    #[serde(default, with = "number::named")]
    pub numbers: Vec<(String, f64)>,
}
