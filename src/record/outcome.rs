//! The outcome of a run.

use serde::{Deserialize, Serialize};

use crate::diagnosis::Diagnosis;
use crate::number;
use crate::step::Measurement;

/// The outcome of a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Final metrics by name, such as `test_accuracy`.
    #[serde(default, with = "number::named")]
    pub scores: Vec<(String, f64)>,
    /// Measurements of the final weights on held-out data, from
    /// [`Shapley`](crate::probe::held_out::Shapley) and [`LinearProbe`](crate::probe::held_out::LinearProbe).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// The diagnosis of the run, if one was made.
    #[serde(default)]
    pub diagnosis: Option<Diagnosis>,
}
