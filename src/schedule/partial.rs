//! Partial suppression, the paper's ablation.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{
    Candidates, Plan, Progress, Ranking, SmpScheduler, delegate::delegate, ranking::Ranker,
};
use crate::error::{self, Result};
use crate::modality::Modality;

/// Slows every modality that is stronger than the weakest, as OGM does:
/// κ^m = 1 − tanh(α · ρ^m / min ρ) where ρ^m > min ρ, and 1 for the weakest.
///
/// Applies in the half-open range `epochs`; outside it all modalities learn fully. The minimum is over
/// the modalities that the batch has.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partial {
    alpha: f64,
    epochs: Range<u64>,
    #[serde(rename = "ranking", default)]
    ranker: Ranker,
}

impl Partial {
    /// Strength α > 0 (OGM's experiments use 0.1 to 1) in `epochs`, with ρ of each batch.
    pub fn new(alpha: f64, epochs: Range<u64>) -> Self {
        Self { alpha, epochs, ranker: Ranker::default() }
    }

    /// Sets the ranking. [`Ranking::Fixed`] and [`Ranking::HeldOut`] have no ρ of the training, so the
    /// trainer's `build` refuses them.
    pub fn ranking(mut self, ranking: Ranking) -> Self {
        self.ranker = ranking.into();
        self
    }
}

impl SmpScheduler for Partial {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            let hint = "use `Joint` for no suppression";
            return Err(error::config("alpha of Partial", "a finite number > 0", self.alpha, hint));
        }
        if self.ranker.is_fixed() {
            let hint = "κ is computed from ρ of the training, which a fixed order does not have";
            let (expected, found) = ("Batch or PreviousEpoch", "a fixed order (Fixed or HeldOut)");
            return Err(error::config("ranking of Partial", expected, found, hint));
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
        let mut rho = self.ranker.values(at, candidates)?;
        for (m, rho) in rho.iter_mut().enumerate() {
            *rho = rho.filter(|_| candidates.is_present(m));
        }
        let known = || rho.iter().copied().flatten();
        if let Some(negative) = known().find(|&rho| rho < 0.0) {
            return Err(error::config(
                "confidence ρ given to Partial",
                "numbers ≥ 0, whose ratios have a meaning",
                negative,
                "use a confidence that is never negative, for example a probability",
            ));
        }
        let weakest = known().fold(f64::INFINITY, f64::min);
        let kappa = |rho: &Option<f64>| match *rho {
            None => 0.0,
            Some(rho) if rho > weakest => 1.0 - (self.alpha * (rho / weakest)).tanh(),
            Some(_) => 1.0,
        };
        Plan::new(rho.iter().map(kappa).collect::<Vec<_>>())
    }

    delegate!(memory, Self { ranker, .. } => ranker);
}
