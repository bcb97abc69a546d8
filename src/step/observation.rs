//! The view of a running step.

use std::{cell::OnceCell, fmt};

use tch::Tensor;

use super::{Combined, MicroBatch, Objective, StepOutcome, StepReport};
use crate::batch::{Batch, Rows};
use crate::error::{self, Error, Result};
use crate::libtorch;
use crate::loss::{self, Labels, Terms};
use crate::modality::Modality;
use crate::parameters::ModalityParams;
use crate::ranks::{Call, Ranks};
use crate::schedule::{Plan, Progress};
use crate::student::{Features, Student};
use crate::teacher::TeacherOutput;

/// The view of a running step that probes, modulations and finite checks share.
///
/// It borrows what the step has computed and can compute what only some observers need. What is of
/// one modality m covers the B_m samples that have it: [`features`](Self::features),
/// [`unimodal_logits`](Self::unimodal_logits) and [`targets`](Self::targets) have B_m rows in the same
/// order, as have the teachers' outputs.
pub struct Observation<'a> {
    /// The position of the step in the training run.
    pub at: Progress,
    /// The position in the accumulation window.
    pub micro_batch: MicroBatch,
    /// The batch.
    pub batch: &'a Batch,
    /// The rows of the batch that have each modality.
    pub rows: &'a [Rows],
    /// The parameters of the encoders, with the gradients that the step has accumulated so far.
    pub params: &'a ModalityParams,
    /// The plan of the scheduler.
    pub plan: &'a Plan,
    /// The teachers' outputs for the `rows` of their modalities; empty without teachers, `None` for a
    /// modality that the whole batch lacks.
    pub teachers: &'a [Option<TeacherOutput>],
    /// ρ of every modality, scalars; `None` as in `teachers`.
    pub confidence: &'a [Option<Tensor>],
    /// The terms of the loss. Connected to the graph until backward has run.
    pub terms: &'a Terms,
    /// The fused logits or predictions [B, C], detached.
    pub logits: &'a Tensor,
    /// Features [B, d_m] of every modality, connected to the graph; zeros where a sample lacks it.
    pub(crate) fused: &'a [Tensor],
    /// `None` for a model of one modality, which has no unimodal logits beside its own.
    pub(crate) student: Option<&'a dyn Student>,
    pub(crate) objective: &'a Objective,
    /// The ranks that run the step, each with its own batch.
    pub(crate) ranks: &'a Ranks,
    /// The batch that the ranks have together.
    pub(crate) combined: &'a Combined,
    /// Unimodal logits [B, C], computed at the first request.
    pub(crate) unimodal: OnceCell<Vec<Option<Tensor>>>,
}

impl Observation<'_> {
    /// The modalities, in the student's order.
    pub fn modalities(&self) -> &[Modality] {
        self.objective.modalities()
    }

    /// Number B_m of samples that have modality `m`.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn samples(&self, m: usize) -> i64 {
        self.rows[m].count(self.batch.size())
    }

    /// Means over the samples of all ranks, of `values` that are means over the B_m samples of this one; one
    /// per modality, `None` where no rank has a sample. Without a group of ranks these are the values.
    /// Collective: a modulation calls it on all ranks or on none.
    ///
    /// # Errors
    /// [`Error::Rank`] where another rank has failed; [`Error::Torch`] where the ranks cannot be reached.
    pub fn mean_over_ranks(&self, values: &[Option<f64>]) -> Result<Vec<Option<f64>>> {
        if self.ranks.group().is_none() {
            return Ok(values.to_vec());
        }
        let weight = |m: usize| values[m].map_or(0.0, |_| self.samples(m) as f64);
        let each = |m: usize| [weight(m), values[m].unwrap_or_default()];
        let shown = |_: &()| (0..values.len()).flat_map(each).collect();
        let (_, rows) = self.ranks.agree(Call::Scores, self.at.total_steps, Ok(()), shown)?;
        let mean = |m: usize| {
            let each = || rows.iter().map(|row| (row.values[2 * m], row.values[2 * m + 1]));
            let samples: f64 = each().map(|(samples, _)| samples).sum();
            let sum: f64 = each().map(|(samples, value)| samples * value).sum();
            (samples > 0.0).then(|| sum / samples)
        };
        Ok((0..values.len()).map(mean).collect())
    }

    /// The weight of this rank in a mean over steps, so that a step counts once for all ranks.
    pub(crate) fn weight_of_rank(&self) -> f64 {
        1.0 / self.ranks.size() as f64
    }

    /// The student's features [B_m, d_m] of modality `m`, detached; `None` where the whole batch lacks
    /// it.
    ///
    /// # Errors
    /// [`Error::Torch`].
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn features(&self, m: usize) -> Result<Option<Tensor>> {
        if self.rows[m].is_missing() {
            return Ok(None);
        }
        self.rows[m].select(&self.fused[m].detach()).map(Some)
    }

    /// The student's unimodal logits [B_m, C] of modality `m`, detached; `None` where the student has
    /// none for it or the whole batch lacks it. Computed once per step and shared by all observers.
    ///
    /// # Errors
    /// Any error of the student; [`Error::Shape`] if [`Student::unimodal_logits`] does not return [B, C].
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn unimodal_logits(&self, m: usize) -> Result<Option<Tensor>> {
        if self.rows[m].is_missing() {
            return Ok(None);
        }
        let Some(logits) = self.unimodal_of_all()?[m].as_ref() else { return Ok(None) };
        if logits.size() != self.logits.size() {
            return Err(error::wrong_shape(
                format_args!("unimodal logits of modality {:?}", self.modalities()[m]),
                format_args!("{:?}, like the fused logits", self.logits.size()),
                &logits.size(),
                "correct `Student::unimodal_logits`",
            ));
        }
        self.rows[m].select(logits).map(Some)
    }

    /// Whether the student has unimodal logits of modality `m`, also where the whole batch lacks it.
    pub(crate) fn has_unimodal_logits(&self, m: usize) -> Result<bool> {
        Ok(self.unimodal_of_all()?[m].is_some())
    }

    fn unimodal_of_all(&self) -> Result<&[Option<Tensor>]> {
        if self.unimodal.get().is_none() {
            let _ = self.unimodal.set(self.all_unimodal_logits()?);
        }
        Ok(self.unimodal.get().map_or(&[], Vec::as_slice))
    }

    /// The unimodal logits of all modalities, detached.
    fn all_unimodal_logits(&self) -> Result<Vec<Option<Tensor>>> {
        let _no_grad = tch::no_grad_guard();
        let features: Vec<Tensor> = self.fused.iter().map(Tensor::detach).collect();
        let features = Features::with_rows(&features, self.rows, self.batch);
        let logits = |m| match self.student {
            Some(student) => student.unimodal_logits(m, &features),
            None => Ok(None),
        };
        (0..features.len()).map(logits).collect()
    }

    /// The targets of the samples that have modality `m`.
    ///
    /// # Errors
    /// [`Error::Torch`].
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn targets(&self, m: usize) -> Result<Tensor> {
        self.rows[m].select(self.batch.targets())
    }

    /// The form of the targets of a classification, as [`G2dLoss::labels`](crate::G2dLoss::labels).
    pub fn labels(&self) -> Option<Labels> {
        self.objective.labels()
    }

    /// The label of samples that the loss ignores, as
    /// [`G2dLoss::ignore_index`](crate::G2dLoss::ignore_index).
    pub fn ignore_index(&self) -> Option<i64> {
        self.objective.ignore_index()
    }

    /// ρ of logits [N, C] and their targets, by the formula that ranks the teachers: a scalar.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn rho(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.objective.rho(logits, targets)
    }

    /// L_S of logits [B_m, C] of the samples that have modality `m`: a scalar, without teacher terms.
    ///
    /// # Errors
    /// Any error of the loss.
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn task_loss(&self, m: usize, logits: &Tensor) -> Result<Tensor> {
        let select = |features: &Tensor| self.rows[m].select(&features.detach());
        let features = self.fused.iter().map(select).collect::<Result<Vec<_>>>()?;
        let rows = Rows::all(features.len());
        let terms = self.objective.terms(&loss::Input {
            modalities: self.modalities(),
            logits,
            features: &features,
            teachers: &[],
            unimodal: &[],
            rows: &rows,
            targets: &self.targets(m)?,
            extras: &self.batch.extras().select(&self.rows[m])?,
        })?;
        Ok(terms.task)
    }

    /// The gradients of the scalar `term` with respect to every encoder's parameters, in the order of
    /// [`ModalityParams::encoder`]; undefined where the term does not depend on a parameter. Valid
    /// until the step's own backward has run. Costs one backward pass; the graph and the parameters'
    /// own gradients are unchanged.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn gradients_of(&self, term: Option<&Tensor>) -> Result<Vec<Vec<Tensor>>> {
        let encoders = || (0..self.modalities().len()).map(|m| self.params.encoder(m));
        let learning: Vec<&Tensor> = encoders()
            .flatten()
            .map(|(_, tensor)| tensor)
            .filter(|tensor| tensor.requires_grad())
            .collect();
        let term = term.filter(|term| term.requires_grad() && !learning.is_empty());
        let found = term.map(|term| Tensor::f_run_backward(&[term], &learning, true, false));
        let found = found.transpose().map_err(|e| Error::torch("differentiate a loss term", e))?;
        let mut found = found.unwrap_or_default().into_iter();
        let mut gradient = |tensor: &Tensor| match tensor.requires_grad() {
            true => found.next().unwrap_or_else(Tensor::new),
            false => Tensor::new(),
        };
        Ok(encoders().map(|own| own.iter().map(|(_, t)| gradient(t)).collect()).collect())
    }
}

impl Observation<'_> {
    /// The report of the step, with everything detached.
    pub(crate) fn report(
        &self,
        outcome: StepOutcome,
        modulation: Option<Vec<f64>>,
    ) -> Result<StepReport> {
        let detach = |rho: &Option<Tensor>| rho.as_ref().map(libtorch::detach).transpose();
        Ok(StepReport {
            at: self.at,
            plan: self.plan.clone(),
            modulation,
            micro_batch: self.micro_batch,
            outcome,
            batch_size: self.batch.size(),
            present: (0..self.rows.len()).map(|m| self.samples(m)).collect(),
            terms: self.terms.try_map(libtorch::detach)?,
            confidence: self.confidence.iter().map(detach).collect::<Result<_>>()?,
            logits: self.logits.shallow_clone(),
            details: Vec::new(),
        })
    }
}

impl fmt::Debug for Observation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation")
            .field("at", &self.at)
            .field("micro_batch", &self.micro_batch)
            .field("modalities", &self.modalities())
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
