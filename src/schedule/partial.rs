//! Partial suppression, the paper's ablation.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::ranking::Ranker;
use super::{Candidates, Plan, Progress, Ranking, SmpScheduler};
use crate::{
    error::{self, Result},
    modality::Modality,
    state::State,
};

/// Slows every modality that is stronger than the weakest, as OGM does:
/// κ^m = 1 − tanh(α · ρ^m / min ρ) where ρ^m > min ρ, and 1 for the weakest.
///
/// Only within `epochs`; outside, all learn fully. The weakest is that of the modalities which the
/// batch has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    alpha: f64,
    epochs: Range<u64>,
    #[serde(rename = "ranking", default)]
    ranker: Ranker,
}

impl Partial {
    /// Strength α > 0 (OGM's experiments use 0.1 to 1) within the half-open range `epochs`, by each
    /// batch's ρ.
    pub fn new(alpha: f64, epochs: Range<u64>) -> Self {
        Self { alpha, epochs, ranker: Ranker::new(Ranking::Batch) }
    }

    /// The same by another ranking; [`Ranking::Fixed`] has no ρ to compare and is refused at build.
    pub fn ranking(mut self, ranking: Ranking) -> Self {
        self.ranker = Ranker::new(ranking);
        self
    }
}

impl SmpScheduler for Partial {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(error::config(
                "alpha of Partial",
                "a finite number > 0",
                format!("{}", self.alpha),
                "use `Joint` for no suppression at all",
            ));
        }
        if self.ranker.is_fixed() {
            return Err(error::config(
                "ranking of Partial",
                "Batch or PreviousEpoch",
                "Fixed",
                "κ is computed from the values of ρ, which a fixed order does not have",
            ));
        }
        self.ranker.bind(modalities)
    }

    fn reads_confidence(&self, at: Progress) -> bool {
        self.epochs.contains(&at.epoch) && self.ranker.reads_confidence()
    }

    fn plan(&mut self, at: Progress, candidates: &Candidates) -> Result<Plan> {
        if !self.epochs.contains(&at.epoch) {
            return Ok(Plan::joint(self.ranker.len()));
        }
        let rho = self.ranker.values(at, candidates)?.into_iter().enumerate();
        let rho: Vec<Option<f64>> =
            rho.map(|(m, rho)| rho.filter(|_| candidates.is_present(m))).collect();
        let known = || rho.iter().copied().flatten();
        if let Some(negative) = known().find(|&r| r < 0.0) {
            return Err(error::config(
                "confidence ρ given to Partial",
                "numbers ≥ 0, so that their ratio means something",
                format!("{negative}"),
                "let the confidence be a probability or a share",
            ));
        }
        let weakest = known().fold(f64::INFINITY, f64::min);
        let kappa = |r: Option<f64>| match r {
            None => 0.0,
            Some(r) if r > weakest => 1.0 - (self.alpha * (r / weakest)).tanh(),
            Some(_) => 1.0,
        };
        Plan::new(rho.iter().copied().map(kappa).collect::<Vec<_>>())
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
