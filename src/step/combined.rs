//! The batches of all ranks, seen as one batch.

use tch::{Kind, Tensor};

use super::Objective;
use crate::batch::{Batch, SplitBatch};
use crate::error::{self, Error, Result};
use crate::loss::{TermWeights, Terms};
use crate::modality::Modality;
use crate::ranks::{Ranks, Row};
use crate::transfer;

/// The batch that the ranks' batches make together, and the part of this rank in it. Without a group it is the
/// batch of the step.
#[derive(Debug)]
pub(crate) struct Combined {
    ranks: usize,
    samples: Part,
    /// The weights by which L_S is divided.
    task: Part,
    /// The samples that have each modality.
    present: Vec<Part>,
    /// The weights by which a task term of the samples that have a modality is divided.
    heads: Vec<Part>,
    /// The weights by which ρ of each modality is divided.
    ranked: Vec<Part>,
    /// ρ of the combined batch; NaN where no sample has the modality, and where ρ is not read.
    confidence: Vec<f64>,
}

/// A number of this rank and its sum over all ranks.
#[derive(Debug, Clone, Copy)]
struct Part {
    own: f64,
    all: f64,
}

impl Part {
    /// The whole, on one rank.
    const ALONE: Self = Self { own: 1.0, all: 1.0 };

    /// The share of this rank; an equal one of `ranks` where there is nothing to share.
    fn share(self, ranks: usize) -> f64 {
        if self.all > 0.0 { self.own / self.all } else { 1.0 / ranks as f64 }
    }

    /// The share of this rank, as a multiple of its share in `other`. 1 where there is nothing to share.
    fn relative_to(self, other: Self) -> f64 {
        match self.all * other.own {
            0.0 => 1.0,
            whole => self.own * other.all / whole,
        }
    }
}

impl Combined {
    /// The largest number of values of a row, of `k` modalities.
    pub(crate) fn width(k: usize) -> usize {
        4 + 4 * k
    }

    /// The [`row`](Self::row) of a rank without a sample of `k` modalities.
    pub(crate) fn empty_row(k: usize) -> Vec<f64> {
        let of_modality = [0.0, f64::NAN, 0.0, 0.0];
        [0.0; 2].into_iter().chain((0..k).flat_map(|_| of_modality)).collect()
    }

    /// What a rank shows of its batch: its samples and the weight of its L_S; then for each modality the
    /// samples that have it, ρ, the weight of a task term over them, and that of ρ.
    pub(crate) fn row(
        parts: &SplitBatch<'_>,
        rho: &[f64],
        objective: &Objective,
        ranks: &Ranks,
    ) -> Result<Vec<f64>> {
        let whole = parts.whole();
        let mut row = vec![whole.size() as f64, whole.size() as f64];
        for (rows, &rho) in parts.rows().iter().zip(rho) {
            let samples = rows.count(whole.size()) as f64;
            row.extend([samples, rho, samples, samples]);
        }
        if ranks.group().is_some() {
            let mut weights = vec![(1, objective.task_weight(whole)?)];
            let each = (0..rho.len()).filter_map(|m| Some((m, parts.get(m)?)));
            for (m, part) in each {
                let part: &Batch = part;
                weights.push((2 + 4 * m + 2, objective.task_weight(part)?));
                weights.push((2 + 4 * m + 3, objective.confidence_weight(part)?));
            }
            let known = weights.into_iter().filter_map(|(place, weight)| Some((place, weight?)));
            let (places, weights): (Vec<_>, Vec<_>) = known.unzip();
            let read = transfer::read_scalars(&weights)?;
            places.into_iter().zip(read).for_each(|(place, weight)| row[place] = weight);
        }
        Ok(row)
    }

    /// The combined batch of the [`row`](Self::row)s of all ranks, of which `rank` is this one.
    pub(crate) fn new(rows: &[Row], rank: usize, k: usize) -> Self {
        let part = |i: usize| {
            let all = rows.iter().map(|row| row.values[i]).sum();
            Part { own: rows[rank].values[i], all }
        };
        let of = |m: usize, i: usize| 2 + 4 * m + i;
        let confidence = |m: usize| match rows {
            [alone] => alone.values[of(m, 1)],
            // Where no label counts, ρ is that of a guess on all ranks.
            _ if part(of(m, 3)).all > 0.0 => mean(rows, of(m, 1), of(m, 3)),
            _ => mean(rows, of(m, 1), of(m, 0)),
        };
        Self {
            ranks: rows.len(),
            samples: part(0),
            task: part(1),
            present: (0..k).map(|m| part(of(m, 0))).collect(),
            heads: (0..k).map(|m| part(of(m, 2))).collect(),
            ranked: (0..k).map(|m| part(of(m, 3))).collect(),
            confidence: (0..k).map(confidence).collect(),
        }
    }

    /// The batch of one rank, all of whose samples have all of `k` modalities.
    pub(crate) fn alone(k: usize) -> Self {
        Self {
            ranks: 1,
            samples: Part::ALONE,
            task: Part::ALONE,
            present: vec![Part::ALONE; k],
            heads: vec![Part::ALONE; k],
            ranked: vec![Part::ALONE; k],
            confidence: vec![f64::NAN; k],
        }
    }

    /// Refuses ranks of which some have samples of a modality and others have none.
    ///
    /// # Errors
    /// [`Error::Config`], which names the first rank without and the modality.
    pub(crate) fn check_all_have(rows: &[Row], modalities: &[Modality]) -> Result<()> {
        for (m, modality) in modalities.iter().enumerate() {
            let has = |row: &Row| row.values[2 + 4 * m] > 0.0;
            let lacking = rows.iter().position(|row| !has(row));
            if let Some(rank) = lacking.filter(|_| rows.iter().any(has)) {
                return Err(error::config(
                    format!("batch of rank {rank}"),
                    format!("samples of {modality:?}, as other ranks have"),
                    "none",
                    "order the data so that every rank has some of them in every batch",
                ));
            }
        }
        Ok(())
    }

    /// Whether no rank has a sample of modality `m`.
    pub(crate) fn is_missing(&self, m: usize) -> bool {
        self.present[m].all == 0.0
    }

    /// ρ of the combined batch.
    pub(crate) fn confidence(&self) -> &[f64] {
        &self.confidence
    }

    /// ρ of modality `m` on this rank, scaled so that its mean over the ranks, weighted by the samples that have
    /// m, is that of the combined batch.
    pub(crate) fn share_of_confidence(&self, m: usize, rho: &Tensor) -> Result<Tensor> {
        scaled(rho, self.ranked[m].relative_to(self.present[m]))
    }

    /// The share of this rank in a mean over all samples.
    pub(crate) fn share_of_samples(&self) -> f64 {
        self.samples.share(self.ranks)
    }

    /// The share of this rank in a mean over the samples that have modality `m`.
    pub(crate) fn share_of_modality(&self, m: usize) -> f64 {
        self.present[m].share(self.ranks)
    }

    /// The share of this rank in a task term of the samples that have modality `m`.
    pub(crate) fn share_of_task(&self, m: usize) -> f64 {
        self.heads[m].share(self.ranks)
    }

    /// The factor of this rank's loss before gradients are averaged over the ranks: their number times the
    /// rank's part of the samples.
    pub(crate) fn weight(&self) -> f64 {
        self.samples.own * self.ranks as f64 / self.samples.all
    }

    /// Makes the mean of the total over the ranks, weighted by their samples, that of the combined batch, where
    /// a term of modality m is a mean over the samples that have m, and a task term a mean by the weights of
    /// its samples. So is the mean of each reported term. `weights` are those of the terms; `None` where the
    /// loss does not tell them.
    pub(crate) fn balance(
        &self,
        terms: &mut Terms,
        weights: Option<TermWeights>,
        modalities: &[Modality],
    ) -> Result<()> {
        let share = |m: usize| self.present[m].relative_to(self.samples);
        let shares: Vec<f64> = (0..modalities.len()).map(share).collect();
        let labels = weights.as_ref().is_some_and(|weights| weights.heads_learn_labels);
        let head = |m: usize| if labels { self.heads[m].relative_to(self.present[m]) } else { 1.0 };
        let (task, heads) = (
            self.task.relative_to(self.samples),
            (0..modalities.len()).map(head).collect::<Vec<f64>>(),
        );
        let is_used = |m: &usize| {
            terms.of_modalities().iter().any(|each| matches!(each.get(*m), Some(Some(_))))
        };
        let differs = |m: &usize| shares[*m] != 1.0 || heads[*m] != 1.0;
        if task == 1.0 && !(0..modalities.len()).any(|m| is_used(&m) && differs(&m)) {
            return Ok(());
        }
        let is_task_alone = !(0..modalities.len()).any(|m| is_used(&m)) && terms.ensemble.is_none();
        let weights = match weights {
            Some(weights) => weights.terms,
            None if is_task_alone => {
                terms.total = scaled(&terms.total, task)?;
                terms.task = scaled(&terms.task, task)?;
                return Ok(());
            }
            None => {
                return Err(error::config(
                    "loss of ranks with different shares of the samples of a modality",
                    "the weights of its terms",
                    "`G2dLoss::term_weights` returns None",
                    "implement it, or give all ranks the same share of each modality",
                ));
            }
        };
        terms.task = scaled(&terms.task, task)?;
        for (term, &head) in terms.head.iter_mut().zip(&heads) {
            *term = term.as_ref().map(|term| scaled(term, head)).transpose()?;
        }
        terms.total = total(terms, &weights, &shares)?;
        Ok(())
    }
}

/// The mean of the values at `value`, weighted by those at `weight`. A rank of weight 0 has no value; that of
/// another may be NaN.
fn mean(rows: &[Row], value: usize, weight: usize) -> f64 {
    let known = || rows.iter().filter(|row| row.values[weight] > 0.0);
    let sum: f64 = known().map(|row| row.values[weight] * row.values[value]).sum();
    let whole: f64 = known().map(|row| row.values[weight]).sum();
    if whole > 0.0 { sum / whole } else { f64::NAN }
}

/// Σ weight · share · term, where the share of a term without a modality is 1.
fn total(terms: &Terms, weights: &Terms<f64>, shares: &[f64]) -> Result<Tensor> {
    let mut all = vec![scaled(&terms.task, weights.task)?];
    for (terms, weights) in terms.of_modalities().into_iter().zip(weights.of_modalities()) {
        for ((term, weight), share) in terms.iter().zip(weights).zip(shares) {
            let Some(term) = term else { continue };
            all.push(scaled(term, weight.unwrap_or(0.0) * share)?);
        }
    }
    if let Some(term) = &terms.ensemble {
        all.push(scaled(term, weights.ensemble.unwrap_or(0.0))?);
    }
    Tensor::f_stack(&all, 0).and_then(|all| all.f_sum(None::<Kind>)).map_err(failed)
}

fn scaled(term: &Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 {
        return Ok(term.shallow_clone());
    }
    let factor = Tensor::from(factor).f_to_kind(term.kind()).map_err(failed)?;
    term.f_mul(&factor).map_err(failed)
}

fn failed(source: tch::TchError) -> Error {
    Error::torch("weigh the terms of the loss by the ranks' samples", source)
}
