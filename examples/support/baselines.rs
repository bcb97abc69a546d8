//! What is there without training a student: the teachers, their ensembles, and no model at all.

use std::fmt;

use serde::Serialize;

/// A prediction that needs no student.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The mean of the training targets, for a regression.
    TargetMean,
    /// The teacher that is best on validation data.
    BetterTeacher,
    /// The mean of the teachers' logits, or of their predictions.
    EnsembleMean,
    /// The mean of the teachers' probabilities.
    EnsembleProbabilities,
    /// Σ_m l_m / t_m with the teachers' validation temperatures.
    EnsembleCalibrated,
    /// The mean of the teachers' predictions, weighted by validation error.
    EnsembleWeighted,
}

/// The name in tables and figures.
impl fmt::Display for Baseline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TargetMean => "mean of the training targets",
            Self::BetterTeacher => "better teacher (on validation data)",
            Self::EnsembleMean => "ensemble, mean",
            Self::EnsembleProbabilities => "ensemble, mean of probabilities",
            Self::EnsembleCalibrated => "ensemble, calibrated",
            Self::EnsembleWeighted => "ensemble, weighted by validation error",
        })
    }
}
