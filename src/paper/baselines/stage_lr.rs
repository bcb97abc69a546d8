//! The learning rate of ReconBoost by stage.

use serde::{Deserialize, Serialize};

use super::settings;
use crate::error::{self, Result};

/// The factor on the learning rate of the optimizer by stage, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum StageLr {
    /// The learning rate is constant.
    Constant,
    /// factorⁿ after n times `stages` stages: the authors' rule for CREMA-D, 0.1 every 30. With 1 stage it
    /// is what the G²D paper's fork does for CREMA-D and AV-MNIST, by a condition that binds wrongly: frozen
    /// after about three stages.
    Every {
        /// At least 1.
        stages: u64,
        /// The factor of each time.
        factor: f64,
    },
    /// `factor` from stage `stage` on: the authors' rule for AVE, 0.5 at 40.
    Once {
        /// The first stage with the factor.
        stage: u64,
        /// The factor.
        factor: f64,
    },
}

impl StageLr {
    /// The factor of a stage.
    pub fn factor(&self, stage: u64) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Every { stages, factor } => factor.powf((stage / stages.max(1)) as f64),
            Self::Once { stage: first, factor } => {
                if stage < first {
                    1.0
                } else {
                    factor
                }
            }
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        match *self {
            Self::Constant => Ok(()),
            Self::Every { stages: 0, .. } => {
                Err(error::out_of_range("stages of StageLr", "at least 1", 0))
            }
            Self::Every { factor, .. } | Self::Once { factor, .. } => {
                settings::not_negative("factor of StageLr", factor)
            }
        }
    }
}
