//! From confidences to an order, weakest first.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::Progress;
use crate::{Modality, Result, error};

/// On what the order of modalities rests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// ρ of each batch, as in the authors' code. Costs a wait for the device a step, unless the
    /// teachers are cached.
    #[default]
    Batch,
    /// ρ averaged over the samples of the epoch before; in the first epoch, over its batches so far.
    PreviousEpoch,
    /// The order given, weakest first, every modality once. Needs no teacher.
    Fixed(Vec<Modality>),
}

/// A ranking at work.
#[derive(Debug, Clone)]
pub(super) struct Ranker {
    ranking: Ranking,
    modalities: Vec<Modality>,
    fixed: Vec<usize>,
    previous: Option<Vec<f64>>,
    sums: Vec<f64>,
    /// The latest ρ, not yet in the sums: a step that fails is planned again at the same point.
    latest: Option<(Progress, Vec<f64>)>,
}

impl Ranker {
    pub(super) fn new(ranking: Ranking) -> Self {
        Self {
            ranking,
            modalities: vec![],
            fixed: vec![],
            previous: None,
            sums: vec![],
            latest: None,
        }
    }

    pub(super) fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        self.modalities = modalities.to_vec();
        self.sums = vec![0.0; modalities.len()];
        self.previous = None;
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
            Ranking::PreviousEpoch => self.previous.is_none(),
            Ranking::Fixed(_) => false,
        }
    }

    /// The ρ that the ranking rests on at this point.
    pub(super) fn values(&mut self, at: Progress, confidence: &[f64]) -> Result<Vec<f64>> {
        if let Some(previous) = &self.previous
            && self.ranking == Ranking::PreviousEpoch
        {
            return Ok(previous.clone());
        }
        self.check(at.epoch, confidence)?;
        if self.ranking == Ranking::PreviousEpoch {
            if let Some((then, rho)) = self.latest.replace((at, confidence.to_vec()))
                && then != at
            {
                self.sums.iter_mut().zip(rho).for_each(|(sum, rho)| *sum += rho);
            }
            return Ok(self.sums.iter().zip(confidence).map(|(sum, rho)| sum + rho).collect());
        }
        Ok(confidence.to_vec())
    }

    /// Modalities from weakest to strongest; equal ones in their own order.
    pub(super) fn order(&mut self, at: Progress, confidence: &[f64]) -> Result<Vec<usize>> {
        if self.is_fixed() {
            return Ok(self.fixed.clone());
        }
        let values = self.values(at, confidence)?;
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].partial_cmp(&values[b]).unwrap_or(Ordering::Equal));
        Ok(order)
    }

    pub(super) fn end_epoch(&mut self, epoch: u64, confidence: &[f64]) -> Result<()> {
        if self.ranking == Ranking::PreviousEpoch {
            self.check(epoch, confidence)?;
            self.previous = Some(confidence.to_vec());
        }
        Ok(())
    }

    fn check(&self, epoch: u64, confidence: &[f64]) -> Result<()> {
        if confidence.len() != self.modalities.len() {
            return Err(error::config(
                "confidences given to the scheduler",
                format!("{}, one for each of {:?}", self.modalities.len(), self.modalities),
                format!("{}", confidence.len()),
                "`reads_confidence` says when ρ is wanted",
            ));
        }
        match confidence.iter().position(|rho| !rho.is_finite()) {
            None => Ok(()),
            Some(m) => Err(error::non_finite(
                format!("confidence ρ of modality {:?} in epoch {epoch}", self.modalities[m]),
                "a finite number",
                format!("{}", confidence[m]),
                "check the teacher's weights and its inputs for NaN",
            )),
        }
    }
}
