//! Stages in which one modality after the other learns alone.

use serde::{Deserialize, Serialize};

use super::{
    Candidates, Plan, Progress, Ranking, SmpScheduler, delegate::delegate, ranking::Ranker,
};
use crate::error::{self, Result};
use crate::modality::Modality;

/// For τ_1 epochs only the weakest modality π\[1\] learns, for the next τ_2 epochs only π\[2\], and so
/// on; outside the stages all modalities learn.
///
/// Stage s covers the half-open range of epochs [e + τ_1 + … + τ_(s−1), e + τ_1 + … + τ_s), where e is
/// 0 unless [`starting_at`](Self::starting_at) sets it. There may be fewer stages than modalities: the
/// paper's two-modality runs have one, `Sequential::new([150])` in 300 epochs. The window of the
/// authors' code, `modulation_starts <= epoch <= modulation_ends`, includes both ends: it is one stage
/// of `ends − starts + 1` epochs that starts at `starts`.
///
/// # Missing modalities
/// Where a batch lacks the modality of the stage, the next stronger modality that is present learns,
/// or else the strongest that is present. [`Ranking::Batch`] ranks present modalities only: in stage s
/// the s-th of them learns, or the last where there are fewer.
///
/// # Example
/// ```
/// # use g2d::schedule::Sequential;
/// // The authors' window of epochs 20 to 150: the weakest modality of each batch learns.
/// let authors = Sequential::new([150 - 20 + 1]).starting_at(20);
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    stages: Vec<u64>,
    #[serde(default, skip_serializing_if = "is_zero")]
    start: u64,
    #[serde(rename = "ranking", default)]
    ranker: Ranker,
}

impl Sequential {
    /// Stages of τ_1, τ_2, … epochs from epoch 0 on, ranked by batch.
    pub fn new(epochs: impl Into<Vec<u64>>) -> Self {
        Self { stages: epochs.into(), start: 0, ranker: Ranker::default() }
    }

    /// Sets the epoch in which the first stage starts; all modalities learn before it.
    pub fn starting_at(mut self, epoch: u64) -> Self {
        self.start = epoch;
        self
    }

    /// Sets the ranking.
    pub fn ranking(mut self, ranking: Ranking) -> Self {
        self.ranker = ranking.into();
        self
    }

    /// The index of the stage that contains `epoch`; `None` outside the stages.
    fn stage(&self, epoch: u64) -> Option<usize> {
        let mut since = epoch.checked_sub(self.start)?;
        self.stages.iter().position(|&tau| match since.checked_sub(tau) {
            None => true,
            Some(rest) => {
                since = rest;
                false
            }
        })
    }
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl SmpScheduler for Sequential {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        if self.stages.len() > modalities.len() {
            return Err(error::config(
                "stages of Sequential",
                format!("at most {}, one for each of {modalities:?}", modalities.len()),
                self.stages.len(),
                "drop the stages that have no modality",
            ));
        }
        self.ranker.bind(modalities)
    }

    fn needs_confidence(&self) -> bool {
        !self.ranker.is_fixed()
    }

    fn reads_confidence(&self, at: Progress) -> bool {
        self.stage(at.epoch).is_some() && self.ranker.reads_confidence()
    }

    fn plan(&mut self, at: Progress, candidates: &Candidates) -> Result<Plan> {
        let k = self.ranker.len();
        let Some(stage) = self.stage(at.epoch) else { return Ok(Plan::joint(k)) };
        let learning = self.ranker.pick(stage, at, candidates)?;
        Ok(learning.map_or_else(|| Plan::none(k), |m| Plan::only(m, k)))
    }

    delegate!(memory, Self { ranker, .. } => ranker);
}
