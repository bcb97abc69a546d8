//! The order of modalities, weakest first.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{Candidates, Progress};
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::state::State;

/// The source of the order of modalities.
///
/// A modality that a batch lacks has no ρ there: `Batch` does not rank it; with the others it keeps its
/// place in the order, but does not learn.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// ρ of each batch, as in the authors' code. Costs one synchronisation with the device per step,
    /// unless the teachers are cached.
    #[default]
    Batch,
    /// Mean ρ over the samples of the previous epoch; in the first epoch, over its batches so far. A
    /// modality that was missing throughout an epoch keeps the ρ of the last epoch that had it.
    PreviousEpoch,
    /// The given order, weakest first, every modality once. Needs no teachers.
    Fixed(Vec<Modality>),
    /// The teachers' confidence on held-out data, every modality once, measured before the training:
    /// the modality of the *highest* confidence comes first, as if it were the weakest. ρ on training
    /// batches measures how fast a modality is fitted; a modality that is fitted slowly and generalises
    /// well is the one to train first. [`Calibration::ranking`](crate::calibration::Calibration::ranking)
    /// makes it from validation data. Equal ones keep the student's order. Needs no teachers in the
    /// training.
    HeldOut(Vec<(Modality, f64)>),
}

/// Ranks modalities by a [`Ranking`], which is its form in a file.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(from = "Ranking", into = "Ranking")]
pub(super) struct Ranker {
    ranking: Ranking,
    modalities: Vec<Modality>,
    /// Indices of the modalities of [`Ranking::Fixed`] and [`Ranking::HeldOut`], in their order.
    fixed: Vec<usize>,
    memory: Memory,
}

/// The state of [`Ranking::PreviousEpoch`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    /// Mean ρ of the last finished epoch that had each modality.
    previous: Vec<Option<f64>>,
    /// ρ of the batches so far, for modalities that no finished epoch had.
    so_far: Vec<Average>,
    /// The latest ρ, not yet in `so_far`: a step that failed is planned again at the same point.
    latest: Option<(Progress, Candidates)>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Average {
    sum: f64,
    count: f64,
}

impl Average {
    fn with(self, value: Option<f64>) -> Self {
        value.map_or(self, |value| Self { sum: self.sum + value, count: self.count + 1.0 })
    }

    fn value(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

impl From<Ranking> for Ranker {
    fn from(ranking: Ranking) -> Self {
        Self { ranking, ..Self::default() }
    }
}

impl From<Ranker> for Ranking {
    fn from(ranker: Ranker) -> Self {
        ranker.ranking
    }
}

impl Ranker {
    pub(super) fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        let k = modalities.len();
        self.modalities = modalities.to_vec();
        self.memory =
            Memory { previous: vec![None; k], so_far: vec![Average::default(); k], latest: None };
        self.fixed = match &self.ranking {
            Ranking::Batch | Ranking::PreviousEpoch => Vec::new(),
            Ranking::Fixed(order) => indices("Ranking::Fixed", order, modalities)?,
            Ranking::HeldOut(confidence) => {
                if let Some((m, rho)) = confidence.iter().find(|(_, rho)| !rho.is_finite()) {
                    let what = format!("held-out confidence of modality {m:?}");
                    let hint = "check the teacher's weights and its validation data for NaN";
                    return Err(error::non_finite(what, "a finite number", rho, hint));
                }
                let names: Vec<_> = confidence.iter().map(|(m, _)| m.clone()).collect();
                let found = indices("Ranking::HeldOut", &names, modalities)?;
                let mut order: Vec<_> = found.into_iter().zip(confidence).collect();
                order.sort_by_key(|(m, _)| *m);
                order.sort_by(|(_, (_, a)), (_, (_, b))| ascending(b, a));
                order.into_iter().map(|(m, _)| m).collect()
            }
        };
        Ok(())
    }

    /// Number of modalities.
    pub(super) fn len(&self) -> usize {
        self.modalities.len()
    }

    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.ranking, Ranking::Fixed(_) | Ranking::HeldOut(_))
    }

    /// Returns whether the ranking reads ρ of the current batch.
    pub(super) fn reads_confidence(&self) -> bool {
        match self.ranking {
            Ranking::Batch => true,
            Ranking::PreviousEpoch => self.memory.previous.contains(&None),
            Ranking::Fixed(_) | Ranking::HeldOut(_) => false,
        }
    }

    /// ρ of every modality for the ranking; `None` where there is none yet.
    pub(super) fn values(
        &mut self,
        at: Progress,
        candidates: &Candidates,
    ) -> Result<Vec<Option<f64>>> {
        self.check_number(candidates.len())?;
        if !self.reads_confidence() {
            return Ok(self.memory.previous.clone());
        }
        self.check_confidence(at.epoch, candidates)?;
        let rho = (0..self.len()).map(|m| candidates.confidence(m));
        if self.ranking == Ranking::Batch {
            return Ok(rho.collect());
        }
        let Memory { previous, so_far, latest } = &mut self.memory;
        if let Some((then, seen)) = latest.replace((at, candidates.clone()))
            && then != at
        {
            for (m, average) in so_far.iter_mut().enumerate() {
                *average = average.with(seen.confidence(m));
            }
        }
        let averages = so_far.iter().zip(rho).map(|(average, rho)| average.with(rho).value());
        Ok(previous.iter().zip(averages).map(|(previous, average)| previous.or(average)).collect())
    }

    /// Modalities from weakest to strongest, without those of unknown ρ; equal ones in the student's
    /// order.
    fn order(&mut self, at: Progress, candidates: &Candidates) -> Result<Vec<usize>> {
        if self.is_fixed() {
            self.check_number(candidates.len())?;
            return Ok(self.fixed.clone());
        }
        let rho = self.values(at, candidates)?;
        let mut known: Vec<usize> = (0..rho.len()).filter(|&m| rho[m].is_some()).collect();
        known.sort_by(|&a, &b| ascending(rho[a], rho[b]));
        Ok(known)
    }

    /// The modality at `place` in the order, where 0 is the weakest. If the batch lacks it, the next
    /// stronger modality that is present, else the strongest that is; `None` where no ranked modality
    /// is present.
    pub(super) fn pick(
        &mut self,
        place: usize,
        at: Progress,
        candidates: &Candidates,
    ) -> Result<Option<usize>> {
        let order = self.order(at, candidates)?;
        let present = |m: &usize| candidates.is_present(*m);
        let (weaker, rest) = order.split_at(place.min(order.len()));
        let stronger = rest.iter().copied().find(present);
        Ok(stronger.or_else(|| weaker.iter().copied().rfind(present)))
    }

    pub(super) fn end_epoch(&mut self, epoch: u64, confidence: &[Option<f64>]) -> Result<()> {
        if self.ranking == Ranking::PreviousEpoch {
            self.check_number(confidence.len())?;
            let known = confidence.iter().enumerate().filter_map(|(m, rho)| Some((m, (*rho)?)));
            known.clone().try_for_each(|(m, rho)| self.check_finite(epoch, m, rho))?;
            known.for_each(|(m, rho)| self.memory.previous[m] = Some(rho));
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Result<State> {
        match self.ranking {
            Ranking::PreviousEpoch => State::new(&self.memory),
            Ranking::Batch | Ranking::Fixed(_) | Ranking::HeldOut(_) => Ok(State::none()),
        }
    }

    pub(super) fn restore(&mut self, state: &State) -> Result<()> {
        if self.ranking != Ranking::PreviousEpoch {
            return state.expect_none("a scheduler that ranks by batch or in a fixed order");
        }
        let memory: Memory = state.read("a ranking by the previous epoch")?;
        self.check_number(memory.previous.len())?;
        self.check_number(memory.so_far.len())?;
        memory.latest.as_ref().map_or(Ok(()), |(_, seen)| self.check_number(seen.len()))?;
        self.memory = memory;
        Ok(())
    }

    /// Refuses a present modality without a finite ρ.
    fn check_confidence(&self, epoch: u64, candidates: &Candidates) -> Result<()> {
        let mut present = (0..candidates.len()).filter(|&m| candidates.is_present(m));
        present.try_for_each(|m| match candidates.confidence(m) {
            Some(rho) => self.check_finite(epoch, m, rho),
            None => Err(error::config(
                format!("confidence ρ of modality {:?}", self.modalities[m]),
                "a number, since `reads_confidence` returned true",
                "none",
                "pass candidates with ρ to `plan`",
            )),
        })
    }

    fn check_number(&self, found: usize) -> Result<()> {
        if found == self.len() {
            return Ok(());
        }
        let (what, hint) = ("modalities given to the scheduler", "pass those of `bind`");
        Err(error::one_per_modality(what, &self.modalities, found, hint))
    }

    fn check_finite(&self, epoch: u64, m: usize, rho: f64) -> Result<()> {
        if rho.is_finite() {
            return Ok(());
        }
        let what = format!("confidence ρ of modality {:?} in epoch {epoch}", self.modalities[m]);
        let hint = "check the teacher's weights and its inputs for NaN";
        Err(error::non_finite(what, "a finite number", rho, hint))
    }
}

/// Not `total_cmp`, which puts −0 before 0.
fn ascending<T: PartialOrd>(a: T, b: T) -> Ordering {
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// The index of each modality of `order`, which has every one of `modalities` once.
fn indices(what: &str, order: &[Modality], modalities: &[Modality]) -> Result<Vec<usize>> {
    let index = |name| modalities.iter().position(|m| m == name);
    let found: Vec<_> = order.iter().filter_map(index).collect();
    let mut distinct = found.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if distinct.len() == modalities.len() && order.len() == modalities.len() {
        return Ok(found);
    }
    let expected = format!("each of {modalities:?} once");
    Err(error::config(what, expected, format!("{order:?}"), "name every modality once"))
}
