//! Training accuracy of the unimodal heads, the teachers and the fused model.

use tch::{TchError, Tensor};

use super::{
    ImbalanceProbe,
    means::Means,
    vectors::{self, TchResult},
};
use crate::error::{Error, Result};
use crate::loss::Labels;
use crate::modality::Modality;
use crate::state::State;
use crate::step::{Measurement, Observation};
use crate::transfer;

/// Accuracy in [0, 1] on the training samples of the epoch; NaN if a logit was not finite.
///
/// - `head_accuracy`: of the student's [unimodal logits](crate::Student::unimodal_logits) of each modality.
/// - `teacher_accuracy`: of each teacher.
/// - `fused_accuracy`: of the fused logits.
///
/// Each is taken over the samples that have the modality. What is correct depends on the form of the
/// targets ([`G2dLoss::labels`](crate::G2dLoss::labels)): the class of the largest logit for class labels
/// (samples that the loss ignores are left out) and for soft labels, whose class is the most probable one;
/// for several labels per sample, the share of the labels whose logit has the right sign. There are no
/// measurements for another loss.
/// The accuracies are those of training mode and changing weights; on held-out data use
/// [`Predictions::head_accuracy`](crate::trainer::Predictions::head_accuracy). Cost: the unimodal heads once
/// per step, shared with the other probes that use them.
///
/// Source: Peng et al., CVPR 2022, section 3.2, which splits the weight of the head by modality.
#[derive(Debug)]
pub struct HeadAccuracy {
    head: Shares,
    teacher: Shares,
    fused: Shares,
}

impl Default for HeadAccuracy {
    fn default() -> Self {
        Self {
            head: Shares::new("head_accuracy", "head_labelled"),
            teacher: Shares::new("teacher_accuracy", "teacher_labelled"),
            fused: Shares::new("fused_accuracy", "fused_labelled"),
        }
    }
}

impl ImbalanceProbe for HeadAccuracy {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        let Some(labels) = step.labels() else { return Ok(()) };
        let rule = Rule { labels, ignore_index: step.ignore_index() };
        self.fused.add(step, None, &rule, step.logits, step.batch.targets())?;
        for m in 0..step.modalities().len() {
            if let Some(logits) = step.unimodal_logits(m)? {
                self.head.add(step, Some(m), &rule, &logits, &step.targets(m)?)?;
            }
            if let Some(Some(teacher)) = step.teachers.get(m) {
                self.teacher.add(step, Some(m), &rule, &teacher.logits, &step.targets(m)?)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        Ok([self.head.take()?, self.teacher.take()?, self.fused.take()?].concat())
    }

    fn combine(
        &mut self,
        modalities: &[Modality],
        sum: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
    ) -> Result<()> {
        for shares in [&mut self.head, &mut self.teacher, &mut self.fused] {
            shares.correct.combine(modalities, sum)?;
            // A rank has the fused shares of the same loss from its first step on, the others perhaps not.
            let mut labelled = shares.labelled.take().unwrap_or_else(|| Means::new(shares.name));
            labelled.combine(modalities, sum)?;
            shares.labelled = Some(labelled).filter(|labelled| !labelled.is_empty());
        }
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let all = [&self.head, &self.teacher, &self.fused];
        let labelled = all.iter().filter_map(|shares| shares.labelled.as_ref());
        Means::save(&all.iter().map(|shares| &shares.correct).chain(labelled).collect::<Vec<_>>())
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let (mut plain, mut ignoring) = (Self::default(), Self::default());
        let all = [&mut plain.head, &mut plain.teacher, &mut plain.fused];
        let mut all = all.map(|shares| &mut shares.correct);
        let found = Means::restore(state, &mut all).or_else(|error| {
            let all = [&mut ignoring.head, &mut ignoring.teacher, &mut ignoring.fused];
            let mut means = Vec::new();
            for Shares { name, correct, labelled } in all {
                means.push(correct);
                means.push(labelled.insert(Means::new(name)));
            }
            Means::restore(state, &mut means).map_err(|_| error)
        });
        found?;
        *self = if ignoring.head.labelled.is_some() { ignoring } else { plain };
        Ok(())
    }
}

/// What counts as correct.
struct Rule {
    labels: Labels,
    ignore_index: Option<i64>,
}

/// The share of correct predictions, of the samples with a label.
#[derive(Debug)]
struct Shares {
    correct: Means,
    /// The share of samples with a label; `None` where all have one.
    labelled: Option<Means>,
    /// The name of the latter.
    name: &'static str,
}

impl Shares {
    fn new(metric: &'static str, name: &'static str) -> Self {
        Self { correct: Means::new(metric), labelled: None, name }
    }

    /// Adds the samples that have modality `m`, or all samples.
    fn add(
        &mut self,
        step: &Observation<'_>,
        m: Option<usize>,
        rule: &Rule,
        logits: &Tensor,
        targets: &Tensor,
    ) -> Result<()> {
        let add = |means: &mut Means, value: &Tensor| match m {
            Some(m) => means.add(step, m, value),
            None => means.whole_model().add(value, step.batch.size() as f64),
        };
        let correct = correct(rule, logits, targets).map_err(failed)?;
        add(&mut self.correct, &correct)?;
        if let Some(ignored) = rule.ignore_index {
            let means = self.labelled.get_or_insert_with(|| Means::new(self.name));
            add(means, &mean(&targets.ne(ignored)).map_err(failed)?)?;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<Measurement>> {
        let correct = self.correct.take()?;
        let Some(labelled) = &mut self.labelled else { return Ok(correct) };
        let pairs = correct.into_iter().zip(labelled.take()?);
        let labelled = pairs.filter(|(_, labelled)| labelled.value != 0.0);
        let share = |(correct, labelled): (Measurement, Measurement)| Measurement {
            value: correct.value / labelled.value,
            ..correct
        };
        Ok(labelled.map(share).collect())
    }
}

/// The share of correct predictions of `logits` [B, C], as a scalar on their device. A sample to ignore
/// is none.
fn correct(rule: &Rule, logits: &Tensor, targets: &Tensor) -> TchResult<Tensor> {
    let mut correct = match rule.labels {
        Labels::Single => logits.f_argmax(1, false)?.f_eq_tensor(targets)?,
        Labels::Soft => logits.f_argmax(1, false)?.f_eq_tensor(&targets.f_argmax(1, false)?)?,
        Labels::Multi => logits.gt(0.0).f_eq_tensor(&targets.gt(0.5))?,
    };
    if let Some(ignored) = rule.ignore_index {
        correct = correct.f_logical_and(&targets.ne(ignored))?;
    }
    vectors::nan_unless_finite(&mean(&correct)?, logits)
}

fn mean(flags: &Tensor) -> TchResult<Tensor> {
    flags.f_to_kind(transfer::wide_kind(flags.device()))?.f_mean(None)
}

fn failed(source: TchError) -> Error {
    Error::torch("compute an accuracy", source)
}
