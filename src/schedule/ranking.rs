//! From confidences to an order, weakest first.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::{Candidates, Progress};
use crate::{
    error::{self, Result},
    modality::Modality,
    state::State,
};

/// On what the order of modalities rests.
///
/// A modality that a batch lacks has no ρ there: by `Batch` it is not ranked at all; by
/// `PreviousEpoch` and `Fixed` it keeps its place in the order, but does not learn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// ρ of each batch, as in the authors' code. Costs a wait for the device a step, unless the
    /// teachers are cached.
    #[default]
    Batch,
    /// ρ averaged over the samples of the epoch before; in the first epoch, over its batches so far.
    /// A modality that was missing throughout an epoch keeps the ρ of the last that had it.
    PreviousEpoch,
    /// The order given, weakest first, every modality once. Needs no teacher.
    Fixed(Vec<Modality>),
}

/// A ranking at work; in a file it is the ranking alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Ranking", into = "Ranking")]
pub(super) struct Ranker {
    ranking: Ranking,
    modalities: Vec<Modality>,
    fixed: Vec<usize>,
    /// Mean ρ of the last finished epoch that had each modality.
    previous: Vec<Option<f64>>,
    /// ρ of the batches so far, for modalities that no finished epoch had.
    so_far: Vec<Average>,
    /// The latest ρ, not yet in `so_far`: a step that fails is planned again at the same point.
    latest: Option<(Progress, Candidates)>,
}

/// What a [`Ranking::PreviousEpoch`] remembers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    previous: Vec<Option<f64>>,
    so_far: Vec<Average>,
    latest: Option<(Progress, Candidates)>,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Average {
    sum: f64,
    count: f64,
}

impl Average {
    fn and(self, value: f64) -> Self {
        Self { sum: self.sum + value, count: self.count + 1.0 }
    }

    fn value(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}

impl From<Ranking> for Ranker {
    fn from(ranking: Ranking) -> Self {
        Self::new(ranking)
    }
}

impl From<Ranker> for Ranking {
    fn from(ranker: Ranker) -> Self {
        ranker.ranking
    }
}

impl Default for Ranker {
    fn default() -> Self {
        Self::new(Ranking::default())
    }
}

impl Ranker {
    pub(super) fn new(ranking: Ranking) -> Self {
        Self {
            ranking,
            modalities: vec![],
            fixed: vec![],
            previous: vec![],
            so_far: vec![],
            latest: None,
        }
    }

    pub(super) fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        self.modalities = modalities.to_vec();
        self.previous = vec![None; modalities.len()];
        self.so_far = vec![Average::default(); modalities.len()];
        self.latest = None;
        if let Ranking::Fixed(order) = &self.ranking {
            self.fixed =
                order.iter().filter_map(|name| modalities.iter().position(|m| m == name)).collect();
            let mut seen = self.fixed.clone();
            seen.sort_unstable();
            seen.dedup();
            if seen.len() != modalities.len() || order.len() != modalities.len() {
                return Err(error::config(
                    "Ranking::Fixed",
                    format!("each of {modalities:?} once, weakest first"),
                    format!("{order:?}"),
                    "name every modality of the student",
                ));
            }
        }
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.modalities.len()
    }

    pub(super) fn is_fixed(&self) -> bool {
        matches!(self.ranking, Ranking::Fixed(_))
    }

    pub(super) fn reads_confidence(&self) -> bool {
        match self.ranking {
            Ranking::Batch => true,
            Ranking::PreviousEpoch => self.previous.contains(&None),
            Ranking::Fixed(_) => false,
        }
    }

    /// The ρ that the ranking rests on at this point; `None` where it knows none.
    pub(super) fn values(
        &mut self,
        at: Progress,
        candidates: &Candidates,
    ) -> Result<Vec<Option<f64>>> {
        self.check_number(candidates.len())?;
        if !self.reads_confidence() {
            return Ok(self.previous.clone());
        }
        self.check(at.epoch, candidates)?;
        let rho = |m| candidates.confidence(m);
        let all = 0..self.modalities.len();
        if self.ranking == Ranking::Batch {
            return Ok(all.map(rho).collect());
        }
        if let Some((then, seen)) = self.latest.replace((at, candidates.clone()))
            && then != at
        {
            for (m, average) in self.so_far.iter_mut().enumerate() {
                *average = seen.confidence(m).map_or(*average, |rho| average.and(rho));
            }
        }
        let with_this = |m: usize| rho(m).map_or(self.so_far[m], |rho| self.so_far[m].and(rho));
        Ok(all.map(|m| self.previous[m].or_else(|| with_this(m).value())).collect())
    }

    /// Modalities from weakest to strongest, those of unknown ρ left out; equal ones in their own
    /// order.
    fn order(&mut self, at: Progress, candidates: &Candidates) -> Result<Vec<usize>> {
        if self.is_fixed() {
            self.check_number(candidates.len())?;
            return Ok(self.fixed.clone());
        }
        let known = self.values(at, candidates)?.into_iter().enumerate();
        let mut known: Vec<(usize, f64)> = known.filter_map(|(m, rho)| Some((m, rho?))).collect();
        known.sort_by(|(_, a), (_, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal));
        Ok(known.into_iter().map(|(m, _)| m).collect())
    }

    /// The modality at `place` in the order, 0 the weakest. Where the batch lacks it, the next
    /// stronger one that is present, else the strongest that is; `None` where no ranked one is.
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
            known.for_each(|(m, rho)| self.previous[m] = Some(rho));
        }
        Ok(())
    }

    /// What it remembers; nothing but by the previous epoch.
    pub(super) fn state(&self) -> Result<State> {
        if self.ranking != Ranking::PreviousEpoch {
            return Ok(State::none());
        }
        let (previous, so_far) = (self.previous.clone(), self.so_far.clone());
        State::new(&Memory { previous, so_far, latest: self.latest.clone() })
    }

    /// Takes back what [`state`](Self::state) said.
    pub(super) fn restore(&mut self, state: &State) -> Result<()> {
        if self.ranking != Ranking::PreviousEpoch {
            return state.expect_none("a scheduler that ranks by batch or in a fixed order");
        }
        let Memory { previous, so_far, latest } = state.read("a ranking by the previous epoch")?;
        self.check_number(previous.len())?;
        self.check_number(so_far.len())?;
        latest.as_ref().map_or(Ok(()), |(_, seen)| self.check_number(seen.len()))?;
        (self.previous, self.so_far, self.latest) = (previous, so_far, latest);
        Ok(())
    }

    /// Refuses a present modality without a finite ρ.
    fn check(&self, epoch: u64, candidates: &Candidates) -> Result<()> {
        (0..candidates.len()).filter(|&m| candidates.is_present(m)).try_for_each(|m| {
            match candidates.confidence(m) {
                Some(rho) => self.check_finite(epoch, m, rho),
                None => Err(error::config(
                    format!("confidence ρ of modality {:?}", self.modalities[m]),
                    "a number, since `reads_confidence` said that it is wanted",
                    "none",
                    "give `plan` candidates with their ρ",
                )),
            }
        })
    }

    fn check_number(&self, found: usize) -> Result<()> {
        if found == self.modalities.len() {
            return Ok(());
        }
        Err(error::config(
            "modalities given to the scheduler",
            format!("{}, one for each of {:?}", self.modalities.len(), self.modalities),
            format!("{found}"),
            "give it those that it was bound to",
        ))
    }

    fn check_finite(&self, epoch: u64, m: usize, rho: f64) -> Result<()> {
        if rho.is_finite() {
            return Ok(());
        }
        Err(error::non_finite(
            format!("confidence ρ of modality {:?} in epoch {epoch}", self.modalities[m]),
            "a finite number",
            format!("{rho}"),
            "check the teacher's weights and its inputs for NaN",
        ))
    }
}
