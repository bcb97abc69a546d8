//! How a teacher's steps run.

use crate::optim::LrSchedule;
use crate::trainer::{LossScaling, NonFinite};

/// The options of a step, as of [`Builder`](crate::trainer::Builder); the precision is the task's.
#[derive(Debug, Clone, Copy)]
pub(super) struct StepOptions {
    pub accumulate: u64,
    pub loss_scaling: LossScaling,
    pub non_finite: NonFinite,
    pub clip_norm: Option<f64>,
    /// The factor of the learning rate at each update, beside that of each epoch.
    pub update_schedule: LrSchedule,
}

impl Default for StepOptions {
    fn default() -> Self {
        Self {
            accumulate: 1,
            loss_scaling: LossScaling::default(),
            non_finite: NonFinite::default(),
            clip_norm: None,
            update_schedule: LrSchedule::constant(),
        }
    }
}
