//! Stages: one modality after the other, weakest first.

use serde::{Deserialize, Serialize};

use super::ranking::Ranker;
use super::{Candidates, Plan, Progress, Ranking, SmpScheduler};
use crate::{
    error::{self, Result},
    modality::Modality,
    state::State,
};

/// In the first τ_1 epochs only the weakest encoder π\[1\] learns, in the next τ_2 only π\[2\], …;
/// after the stages all learn together.
///
/// Stage s covers the half-open range of epochs [τ_1 + … + τ_(s−1), τ_1 + … + τ_s). There may be
/// fewer stages than modalities: the paper's two-modality runs have one, `Sequential::new([150])`
/// of 300 epochs.
///
/// Where a batch lacks the modality whose turn it is, the next stronger one that is there learns, or
/// else the strongest that is. Ranked by batch, a missing modality has no place in the order: stage
/// s is the s-th of those that are there, or their last.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sequential {
    stages: Vec<u64>,
    #[serde(rename = "ranking", default)]
    ranker: Ranker,
}

impl Sequential {
    /// Stages of τ_1, τ_2, … epochs, ranked by each batch.
    pub fn new(epochs: impl Into<Vec<u64>>) -> Self {
        Self { stages: epochs.into(), ranker: Ranker::new(Ranking::Batch) }
    }

    /// The same stages with another ranking.
    pub fn ranking(mut self, ranking: Ranking) -> Self {
        self.ranker = Ranker::new(ranking);
        self
    }

    /// The stage that `epoch` falls into, or `None` after the last.
    fn stage(&self, epoch: u64) -> Option<usize> {
        let mut end = 0_u64;
        self.stages.iter().position(|&tau| {
            end = end.saturating_add(tau);
            epoch < end
        })
    }
}

impl SmpScheduler for Sequential {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        if self.stages.len() > modalities.len() {
            return Err(error::config(
                "stages of Sequential",
                format!("at most {}, one for each of {modalities:?}", modalities.len()),
                format!("{}", self.stages.len()),
                "drop the stages that no modality is left for",
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
        Ok(match self.stage(at.epoch) {
            Some(stage) => Plan::at_most(self.ranker.pick(stage, at, candidates)?, k),
            None => Plan::joint(k),
        })
    }

    fn end_epoch(&mut self, epoch: u64, confidence: &[Option<f64>]) -> Result<()> {
        self.ranker.end_epoch(epoch, confidence)
    }

    fn state(&self) -> Result<State> {
        self.ranker.state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.ranker.restore(state)
    }
}
