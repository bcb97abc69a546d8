//! No suppression.

use serde::{Deserialize, Serialize};

use super::{Candidates, Plan, Progress, SmpScheduler};
use crate::error::Result;
use crate::modality::Modality;

/// Every modality learns in every step: joint training, or L_G2D without SMP.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joint {}

impl SmpScheduler for Joint {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }

    fn needs_confidence(&self) -> bool {
        false
    }

    fn plan(&mut self, _at: Progress, candidates: &Candidates) -> Result<Plan> {
        Ok(Plan::joint(candidates.len()))
    }
}
