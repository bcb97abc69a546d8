//! The means of an epoch, accumulated on the device.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::error::Result;
use crate::loss::Terms;
use crate::mean::{Mean, MeanState};
use crate::modality::Modality;
use crate::ranks::Ranks;
use crate::schedule::Progress;
use crate::step::{EpochReport, StepReport};

/// The sums behind an [`EpochReport`].
#[derive(Debug)]
pub(crate) struct EpochTotals {
    terms: Terms<Mean>,
    confidence: Vec<Mean>,
    kappa: Vec<f64>,
    steps: u64,
}

/// [`EpochTotals`] as numbers, for a checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EpochTotalsState {
    #[serde(flatten)]
    terms: Terms<MeanState>,
    confidence: Vec<MeanState>,
    kappa: Vec<f64>,
    steps: u64,
}

impl EpochTotals {
    pub(crate) fn new(modalities: usize) -> Self {
        let optional = || (0..modalities).map(|_| Some(Mean::default())).collect();
        Self {
            terms: Terms {
                total: Mean::default(),
                task: Mean::default(),
                feature: optional(),
                logit: optional(),
                head: optional(),
                ensemble: Some(Mean::default()),
            },
            confidence: (0..modalities).map(|_| Mean::default()).collect(),
            kappa: vec![0.0; modalities],
            steps: 0,
        }
    }

    /// Forgets all sums except those of steps and κ, which every rank has.
    pub(super) fn forget_sums(&mut self) {
        let Self { kappa, steps, .. } = std::mem::replace(self, Self::new(self.modalities()));
        (self.kappa, self.steps) = (kappa, steps);
    }

    /// The number of modalities.
    pub(super) fn modalities(&self) -> usize {
        self.kappa.len()
    }

    /// Adds a step, weighted by its samples.
    pub(crate) fn add(&mut self, report: &StepReport) -> Result<()> {
        let samples = report.batch_size as f64;
        self.terms.total.add(&report.terms.total, samples)?;
        self.terms.task.add(&report.terms.task, samples)?;
        for (means, terms) in [
            (&mut self.terms.feature, &report.terms.feature),
            (&mut self.terms.logit, &report.terms.logit),
            (&mut self.terms.head, &report.terms.head),
        ] {
            add_each(means.iter_mut().flatten(), terms, &report.present)?;
        }
        if let (Some(mean), Some(term)) = (&mut self.terms.ensemble, &report.terms.ensemble) {
            mean.add(term, samples)?;
        }
        add_each(self.confidence.iter_mut(), &report.confidence, &report.present)?;
        self.kappa.iter_mut().zip(report.kappa()).for_each(|(sum, kappa)| *sum += kappa);
        self.steps += 1;
        Ok(())
    }

    /// The report of an epoch that ends at `at`, in one transfer; without measurements.
    pub(crate) fn read(&self, at: Progress, modalities: &[Modality]) -> Result<EpochReport> {
        let means = self.terms.iter().chain(&self.confidence);
        let mut values = Mean::read_all(means)?.into_iter();
        let mut next = || values.next().flatten();
        let number = |mean: Option<f64>| mean.unwrap_or(f64::NAN);
        let (total, task) = (number(next()), number(next()));
        let mut each = || modalities.iter().map(|_| next()).collect::<Vec<_>>();
        let (feature, logit, mut head) = (each(), each(), each());
        if head.iter().all(Option::is_none) {
            head.clear(); // a loss without head terms
        }
        let ensemble = next();
        let confidence = modalities.iter().map(|_| next()).collect();
        Ok(EpochReport {
            epoch: at.epoch,
            steps: at.step,
            skipped: at.step.saturating_sub(self.steps),
            unfinished: 0,
            modalities: modalities.to_vec(),
            terms: Terms { total, task, feature, logit, head, ensemble },
            confidence,
            kappa: self.kappa.iter().map(|sum| sum / self.steps.max(1) as f64).collect(),
            measurements: Vec::new(),
        })
    }

    /// The sums over all ranks, which synchronises with the device. Steps and κ are those of every rank.
    pub(super) fn combined(&self, ranks: &Ranks) -> Result<Self> {
        let sums = ranks.sum(&Mean::sums(self.terms.iter().chain(&self.confidence))?)?;
        let mut sums = sums.chunks(2).map(|sum| Mean::from_sum(sum[0], sum[1]));
        let mut next = |_: &Mean| sums.next().unwrap_or_default();
        Ok(Self {
            terms: self.terms.map(&mut next),
            confidence: self.confidence.iter().map(&mut next).collect(),
            kappa: self.kappa.clone(),
            steps: self.steps,
        })
    }

    /// Its numbers; synchronises with the device.
    pub(super) fn state(&self) -> Result<EpochTotalsState> {
        Ok(EpochTotalsState {
            terms: self.terms.try_map(Mean::state)?,
            confidence: self.confidence.iter().map(Mean::state).collect::<Result<_>>()?,
            kappa: self.kappa.clone(),
            steps: self.steps,
        })
    }
}

impl EpochTotalsState {
    /// Returns whether the state has `k` modalities.
    pub(super) fn has_modalities(&self, k: usize) -> bool {
        let Terms { feature, logit, head, .. } = &self.terms;
        let lengths = [feature.len(), logit.len(), self.confidence.len(), self.kappa.len()];
        lengths == [k; 4] && (head.is_empty() || head.len() == k)
    }
}

impl From<EpochTotalsState> for EpochTotals {
    fn from(state: EpochTotalsState) -> Self {
        let mean = |mean: &MeanState| Mean::from(mean.clone());
        // A version without head terms wrote none.
        let mut terms = state.terms.map(mean);
        terms.head.resize_with(state.kappa.len(), || None);
        for each in [&mut terms.feature, &mut terms.logit, &mut terms.head] {
            for term in each {
                term.get_or_insert_default();
            }
        }
        terms.ensemble.get_or_insert_default();
        Self {
            terms,
            confidence: state.confidence.iter().map(mean).collect(),
            kappa: state.kappa,
            steps: state.steps,
        }
    }
}

/// Adds the terms that there are, each weighted by the samples that have its modality.
fn add_each<'a>(
    means: impl Iterator<Item = &'a mut Mean>,
    terms: &[Option<Tensor>],
    present: &[i64],
) -> Result<()> {
    means.zip(terms).zip(present).try_for_each(|((mean, term), &samples)| {
        term.as_ref().map_or(Ok(()), |term| mean.add(term, samples as f64))
    })
}
