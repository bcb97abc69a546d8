//! What a plan may rest on.

use serde::{Deserialize, Serialize};

/// The modalities of a batch, and their ρ where the schedule asked for it.
///
/// A modality that the whole batch lacks is missing: it is not ranked and will not learn. One that
/// some samples have is present, with the ρ of those samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidates {
    present: Vec<bool>,
    #[serde(with = "crate::number")]
    confidence: Option<Vec<f64>>,
}

impl Candidates {
    /// `k` modalities, all present, their ρ not read.
    pub fn without_confidence(k: usize) -> Self {
        Self { present: vec![true; k], confidence: None }
    }

    /// Modalities of these ρ, in the student's order, all present.
    pub fn from_confidence(confidence: impl Into<Vec<f64>>) -> Self {
        let confidence = confidence.into();
        Self { present: vec![true; confidence.len()], confidence: Some(confidence) }
    }

    /// The same, but the batch lacks modality `m`.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn without(mut self, m: usize) -> Self {
        self.present[m] = false;
        self
    }

    /// The number of modalities, missing ones included.
    pub fn len(&self) -> usize {
        self.present.len()
    }

    /// Never, inside a step: a student has modalities.
    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// Does the batch have modality `m`?
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn is_present(&self, m: usize) -> bool {
        self.present[m]
    }

    /// ρ of modality `m`; `None` where it is missing or was not read.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn confidence(&self, m: usize) -> Option<f64> {
        let rho = self.confidence.as_ref()?;
        self.present[m].then(|| rho[m])
    }
}
