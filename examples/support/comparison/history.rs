//! The history of a student's training.

use g2d::EpochReport;
use serde::{Deserialize, Serialize};

/// The history of a student's training.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct History {
    pub reports: Vec<EpochReport>,
    /// The seconds of all steps and of the passes between epochs, without the loading of data.
    pub seconds: f64,
    pub steps: u64,
}

impl History {
    /// The seconds of a step, which depend on what else the machine computes.
    pub fn seconds_per_step(&self) -> f64 {
        self.seconds / self.steps.max(1) as f64
    }
}
