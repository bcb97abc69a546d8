//! What a step and an epoch say of themselves.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{StepOutcome, Window};
use crate::mean::{Mean, MeanState};
use crate::{LossTerms, Measurement, Modality, Plan, Progress, Result, host, number};

/// One step: detached tensors, still on the device.
///
/// Reading a number waits for the device; that wait is the caller's to choose, with
/// [`read`](Self::read).
#[derive(Debug)]
pub struct StepReport {
    /// Where the step stood.
    pub at: Progress,
    /// What the schedule asked for; 0 for a modality that the whole batch lacks.
    pub plan: Plan,
    /// The factor that the [`GradientModulation`](crate::GradientModulation) put on each encoder's
    /// gradient; `None` where there is none or it changed nothing.
    pub modulation: Option<Vec<f64>>,
    /// Where it stands among the micro-batches of one step of the optimizer.
    pub window: Window,
    /// What the optimizer may do now.
    pub outcome: StepOutcome,
    /// B.
    pub batch_size: i64,
    /// How many of the samples have each modality: B, where the batch says nothing else.
    pub present: Vec<i64>,
    /// The loss term by term, scalars before their weights; `total` is the weighted sum.
    pub terms: LossTerms,
    /// ρ of every modality, scalars; `None` without teachers, and where the whole batch lacks it.
    pub confidence: Vec<Option<Tensor>>,
    /// The fused logits or predictions [B, C].
    pub logits: Tensor,
}

/// A [`StepReport`] in numbers. In JSON a number that is not finite is `"NaN"`, `"inf"` or `"-inf"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepValues {
    /// Where the step stood.
    pub at: Progress,
    /// What the optimizer was allowed to do.
    pub outcome: StepOutcome,
    /// κ of every modality as applied: the plan's, times the modulation's factor.
    #[serde(with = "number")]
    pub kappa: Vec<f64>,
    /// L_G2D.
    #[serde(with = "number")]
    pub total: f64,
    /// L_S.
    #[serde(with = "number")]
    pub task: f64,
    /// L_feat^m, before its weight.
    #[serde(with = "number")]
    pub feature: Vec<Option<f64>>,
    /// L_logit^m, before its weight.
    #[serde(with = "number")]
    pub logit: Vec<Option<f64>>,
    /// ρ of every modality; `None` without teachers, and where the whole batch lacks it.
    #[serde(with = "number")]
    pub confidence: Vec<Option<f64>>,
}

impl StepReport {
    /// κ of every modality as applied: the plan's, times the modulation's factor.
    pub fn kappa(&self) -> Vec<f64> {
        let planned = self.plan.kappa();
        match &self.modulation {
            None => planned.to_vec(),
            Some(factors) => planned.iter().zip(factors).map(|(k, factor)| k * factor).collect(),
        }
    }

    /// Reads every number in one transfer.
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if the device failed meanwhile.
    pub fn read(&self) -> Result<StepValues> {
        let LossTerms { total, task, feature, logit } = &self.terms;
        let scalars: Vec<Tensor> = [total, task]
            .into_iter()
            .chain(feature.iter().flatten())
            .chain(logit.iter().flatten())
            .chain(self.confidence.iter().flatten())
            .map(Tensor::shallow_clone)
            .collect();
        let mut values = host::read_scalars(&scalars)?.into_iter();
        let mut next = || values.next().unwrap_or(f64::NAN);
        let (total, task) = (next(), next());
        let mut each = |terms: &[Option<Tensor>]| {
            terms.iter().map(|term| term.as_ref().map(|_| next())).collect::<Vec<_>>()
        };
        let (feature, logit, confidence) = (each(feature), each(logit), each(&self.confidence));
        let outcome = self.outcome.clone();
        let (at, kappa) = (self.at, self.kappa());
        Ok(StepValues { at, outcome, kappa, total, task, feature, logit, confidence })
    }
}

/// One epoch in numbers: means over its samples (κ: over its steps), skipped steps left out. What is
/// of one modality is a mean over the samples that have it. In JSON as [`StepValues`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    /// Counted from 0.
    pub epoch: u64,
    /// Steps in it, skipped ones too.
    pub steps: u64,
    /// Steps that were skipped.
    #[serde(default)]
    pub skipped: u64,
    /// Micro-batches of a window that was still open: their gradients were dropped.
    /// [`G2dTrainer::finish_window`](crate::G2dTrainer::finish_window) before `end_epoch` uses them.
    #[serde(default)]
    pub unfinished: u64,
    /// The modalities, in the order of the vectors below.
    pub modalities: Vec<Modality>,
    /// Mean L_G2D.
    #[serde(with = "number")]
    pub total: f64,
    /// Mean L_S.
    #[serde(with = "number")]
    pub task: f64,
    /// Mean L_feat^m before its weight; `None` where it was not computed.
    #[serde(with = "number")]
    pub feature: Vec<Option<f64>>,
    /// Mean L_logit^m before its weight; `None` where it was not computed.
    #[serde(with = "number")]
    pub logit: Vec<Option<f64>>,
    /// Mean ρ^m on the training batches; `None` without teachers, or if no sample had m.
    #[serde(with = "number")]
    pub confidence: Vec<Option<f64>>,
    /// Mean κ^m as applied, 0 in steps whose whole batch lacked m.
    #[serde(with = "number")]
    pub kappa: Vec<f64>,
    /// What the probes found.
    pub measurements: Vec<Measurement>,
}

/// [`EpochTotals`] in numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EpochTotalsState {
    total: MeanState,
    task: MeanState,
    feature: Vec<MeanState>,
    logit: Vec<MeanState>,
    confidence: Vec<MeanState>,
    kappa: Vec<f64>,
    steps: u64,
}

impl EpochTotalsState {
    /// Is it of `k` modalities?
    pub(super) fn is_of(&self, k: usize) -> bool {
        let each = [self.feature.len(), self.logit.len(), self.confidence.len(), self.kappa.len()];
        each == [k; 4]
    }
}

impl From<EpochTotalsState> for EpochTotals {
    fn from(state: EpochTotalsState) -> Self {
        let means = |all: Vec<MeanState>| all.into_iter().map(Mean::from).collect();
        Self {
            total: state.total.into(),
            task: state.task.into(),
            feature: means(state.feature),
            logit: means(state.logit),
            confidence: means(state.confidence),
            kappa: state.kappa,
            steps: state.steps,
        }
    }
}

/// The sums behind an [`EpochReport`], on the device.
#[derive(Debug, Default)]
pub(super) struct EpochTotals {
    total: Mean,
    task: Mean,
    feature: Vec<Mean>,
    logit: Vec<Mean>,
    confidence: Vec<Mean>,
    kappa: Vec<f64>,
    steps: u64,
}

impl EpochTotals {
    pub(super) fn new(modalities: usize) -> Self {
        let means = || std::iter::repeat_with(Mean::default).take(modalities).collect();
        Self {
            feature: means(),
            logit: means(),
            confidence: means(),
            kappa: vec![0.0; modalities],
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, report: &StepReport) -> Result<()> {
        let samples = report.batch_size as f64;
        self.total.add(&report.terms.total, samples)?;
        self.task.add(&report.terms.task, samples)?;
        let own = |means: &mut [Mean], terms: &[Option<Tensor>]| {
            means.iter_mut().zip(terms).zip(&report.present).try_for_each(
                |((mean, term), &rows)| {
                    term.as_ref().map_or(Ok(()), |term| mean.add(term, rows as f64))
                },
            )
        };
        own(&mut self.feature, &report.terms.feature)?;
        own(&mut self.logit, &report.terms.logit)?;
        own(&mut self.confidence, &report.confidence)?;
        self.kappa.iter_mut().zip(report.kappa()).for_each(|(sum, kappa)| *sum += kappa);
        self.steps += 1;
        Ok(())
    }

    /// Its numbers; waits for the device.
    pub(super) fn state(&self) -> Result<EpochTotalsState> {
        let means = |all: &[Mean]| all.iter().map(Mean::state).collect::<Result<Vec<_>>>();
        Ok(EpochTotalsState {
            total: self.total.state()?,
            task: self.task.state()?,
            feature: means(&self.feature)?,
            logit: means(&self.logit)?,
            confidence: means(&self.confidence)?,
            kappa: self.kappa.clone(),
            steps: self.steps,
        })
    }

    /// The report of the epoch, in one transfer, still without measurements.
    pub(super) fn read(&self, at: Progress, modalities: &[Modality]) -> Result<EpochReport> {
        let k = modalities.len();
        let means = [&self.total, &self.task]
            .into_iter()
            .chain(&self.feature)
            .chain(&self.logit)
            .chain(&self.confidence);
        let read = Mean::read_all(means)?;
        let (scalars, vectors) = read.split_at(2);
        Ok(EpochReport {
            epoch: at.epoch,
            steps: at.step,
            skipped: at.step.saturating_sub(self.steps),
            unfinished: 0,
            modalities: modalities.to_vec(),
            total: scalars[0].unwrap_or(f64::NAN),
            task: scalars[1].unwrap_or(f64::NAN),
            feature: vectors[..k].to_vec(),
            logit: vectors[k..2 * k].to_vec(),
            confidence: vectors[2 * k..].to_vec(),
            kappa: self.kappa.iter().map(|sum| sum / self.steps.max(1) as f64).collect(),
            measurements: Vec::new(),
        })
    }
}
