//! The authors' schedule: a window, decided batch by batch.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::ranking::Ranker;
use super::{Candidates, Plan, Progress, Ranking, SmpScheduler};
use crate::{
    error::{self, Result},
    modality::Modality,
};

/// Within a window of epochs, both ends included, only the weakest modality that each batch has
/// learns; outside it all do.
///
/// The authors' `modulation_starts <= epoch <= modulation_ends`: `PerBatch::window(0..=150)` covers
/// 151 epochs. With two modalities this is [`Sequential`](super::Sequential) with one stage of 151,
/// ranked by batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PerBatch {
    #[serde(with = "super::window")]
    window: RangeInclusive<u64>,
    #[serde(skip)]
    ranker: Ranker,
}

impl PerBatch {
    /// Suppression in the epochs of `window`.
    pub fn window(window: RangeInclusive<u64>) -> Self {
        Self { window, ranker: Ranker::new(Ranking::Batch) }
    }
}

impl SmpScheduler for PerBatch {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        if self.window.is_empty() {
            return Err(error::config(
                "window of PerBatch",
                "first epoch ≤ last epoch",
                format!("{:?}", self.window),
                "use `Joint` for no suppression at all",
            ));
        }
        self.ranker.bind(modalities)
    }

    fn reads_confidence(&self, at: Progress) -> bool {
        self.window.contains(&at.epoch)
    }

    fn plan(&mut self, at: Progress, candidates: &Candidates) -> Result<Plan> {
        let k = self.ranker.len();
        if !self.window.contains(&at.epoch) {
            return Ok(Plan::joint(k));
        }
        Ok(Plan::at_most(self.ranker.pick(0, at, candidates)?, k))
    }
}
