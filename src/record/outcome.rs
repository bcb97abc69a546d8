//! What a run ends with.

use serde::{Deserialize, Serialize};

use crate::{diagnosis::Diagnosis, number, step::Measurement};

/// What a run ends with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Final numbers, such as `test_accuracy`.
    #[serde(default, with = "number::named")]
    pub scores: Vec<(String, f64)>,
    /// What was measured at the end, on the final weights and held-out data:
    /// [`Shapley`](crate::probe::held_out::Shapley), [`LinearProbe`](crate::probe::held_out::LinearProbe).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<Measurement>,
    /// What was found out about the balance of its modalities; `None` where nobody looked.
    #[serde(default)]
    pub diagnosis: Option<Diagnosis>,
}
