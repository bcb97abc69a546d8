//! The rows of epochs and steps.

use std::path::Path;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::error::{Error, Result};
use crate::modality::Modality;
use crate::number;
use crate::step::{EpochReport, StepValues};

/// The record of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// The trainer's report.
    pub report: EpochReport,
    /// The caller's metrics. In a file a value that is not finite is `"NaN"`, `"inf"` or `"-inf"`.
    #[serde(with = "number::named")]
    pub metrics: Vec<(String, f64)>,
    /// Wall time since the previous row, or since the recorder was created.
    pub seconds: f64,
}

/// The record of a step, as numbers. In a file a value that is not finite is `"NaN"`, `"inf"` or `"-inf"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// The modalities, in the order of the vectors in `values`.
    pub modalities: Vec<Modality>,
    /// Position, outcome, κ, the terms of the loss and ρ.
    pub values: StepValues,
    /// The learning rate of each parameter group by its name, which is empty for the group of the rest;
    /// empty if it was not given.
    #[serde(with = "number::named")]
    pub learning_rates: Vec<(String, f64)>,
    /// The joint L2 norm of the gradients; `None` if it was not given, and for a step without gradients.
    #[serde(with = "number")]
    pub gradient_norm: Option<f64>,
}

impl EpochRow {
    /// Parses line `i`, counted from 0, of the file at `path`.
    pub(super) fn parse(path: &Path, i: usize, line: &str) -> Result<Self> {
        parse(path, i, line, "an epoch")
    }
}

impl StepRow {
    /// Parses line `i`, counted from 0, of the file at `path`.
    pub(super) fn parse(path: &Path, i: usize, line: &str) -> Result<Self> {
        parse(path, i, line, "a step")
    }

    /// The number of steps of the run that are finished with this one.
    pub fn finished(&self) -> u64 {
        self.values.at.total_steps.saturating_add(1)
    }

    /// Returns whether the step is before `total_steps` steps are finished.
    pub(super) fn is_before(&self, total_steps: u64) -> bool {
        self.values.at.total_steps < total_steps
    }
}

fn parse<T: DeserializeOwned>(path: &Path, i: usize, line: &str, of: &str) -> Result<T> {
    serde_json::from_str(line).map_err(|e| {
        let (what, expected) = (format!("line {}", i + 1), format!("the record of {of}"));
        let hint = "choose a file that `JsonLines` wrote, or remove the line";
        Error::data(path, what, expected, e, hint)
    })
}
