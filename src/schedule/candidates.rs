//! The input of a plan.

use serde::{Deserialize, Serialize};

/// The modalities of a batch, with their confidences ρ where the scheduler reads them.
///
/// A modality that the whole batch lacks is missing: it has no ρ and does not learn. A modality that
/// some samples have is present, with the ρ of those samples. Methods panic for an index `m` that is not
/// below the number of modalities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidates {
    present: Vec<bool>,
    #[serde(with = "crate::number")]
    confidence: Option<Vec<f64>>,
}

impl Candidates {
    /// `k` present modalities without ρ.
    pub fn without_confidence(k: usize) -> Self {
        Self { present: vec![true; k], confidence: None }
    }

    /// Present modalities with these ρ, in the student's order.
    pub fn from_confidence(confidence: impl Into<Vec<f64>>) -> Self {
        let confidence = confidence.into();
        Self { present: vec![true; confidence.len()], confidence: Some(confidence) }
    }

    /// Marks modality `m` as missing.
    pub fn without(mut self, m: usize) -> Self {
        self.present[m] = false;
        self
    }

    /// Number of modalities, missing ones included.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Returns whether there are no modalities; never true inside a step.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Returns whether the batch has modality `m`.
    pub fn is_present(&self, m: usize) -> bool {
        self.present[m]
    }

    /// ρ of modality `m`; `None` if the modality is missing or ρ was not read.
    pub fn confidence(&self, m: usize) -> Option<f64> {
        let rho = self.confidence.as_ref()?;
        self.present[m].then(|| rho[m])
    }
}
