//! The result of an epoch.

use serde::{Deserialize, Serialize};

use super::Measurement;
use crate::loss::Terms;
use crate::modality::Modality;
use crate::number;

/// One epoch as numbers: means over its samples (κ: over its steps). Skipped steps are left out. A
/// quantity of one modality is the mean over the samples that have it. In JSON a number that is not
/// finite is `"NaN"`, `"inf"` or `"-inf"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Index of the epoch, counted from 0.
    pub epoch: u64,
    /// Number of steps, skipped ones included.
    pub steps: u64,
    /// Number of skipped steps.
    #[serde(default)]
    pub skipped: u64,
    /// Number of micro-batches in an accumulation window that was still open; their gradients are
    /// discarded. [`G2dTrainer::finish_window`](crate::G2dTrainer::finish_window) before `end_epoch`
    /// uses them.
    #[serde(default)]
    pub unfinished: u64,
    /// The modalities, in the order of the vectors below.
    pub modalities: Vec<Modality>,
    /// Mean terms of the loss before their weights, and the mean of their weighted sum; `None` for a
    /// term that was not computed.
    #[serde(flatten)]
    pub terms: Terms<f64>,
    /// Mean ρ^m on the training batches; `None` without teachers, and where no sample has m.
    #[serde(with = "number")]
    pub confidence: Vec<Option<f64>>,
    /// Mean κ^m as applied; 0 in steps whose whole batch lacks m.
    #[serde(with = "number")]
    pub kappa: Vec<f64>,
    /// The measurements of the probes.
    pub measurements: Vec<Measurement>,
}
