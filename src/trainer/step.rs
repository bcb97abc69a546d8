//! One step, from a batch to gradients.

use std::{cell::OnceCell, fmt};

use tch::{Device, Tensor};

use super::{
    LossScale, Precision, ReplicaBuffers,
    finite::FiniteGuard,
    forward::{ForwardPass, StudentOutput},
    gradients, modulation,
    observers::Observers,
    planner::{Planned, Planner},
    updater::Updater,
    window::AccumulationWindow,
};
use crate::batch::{Batch, SplitBatch};
use crate::error::{self, Result};
use crate::libtorch;
use crate::loss::{self, Terms};
use crate::modality::Modality;
use crate::modulation::Modulate;
use crate::parameters::ModalityParams;
use crate::ranks::{Call, Ranks};
use crate::schedule::Progress;
use crate::step::{EpochReport, MicroBatch, Objective, Observation, StepOutcome, StepReport};
use crate::student::{Caught, Student};

/// Runs G²D steps inside the caller's loop.
///
/// The caller keeps the loop, the data and the optimizer:
///
/// ```text
/// let report = trainer.step(&student, &batch)?;   // teachers, plan, forward, loss, backward
/// trainer.update(&mut optimizer)?;                // or optimizer.step() and zero_grad() where it is Ready
/// …
/// let epoch = trainer.end_epoch()?;
/// ```
///
/// [`builder`](Self::builder) makes one for a loss and a student.
pub struct G2dTrainer {
    pub(super) objective: Objective,
    pub(super) params: ModalityParams,
    pub(super) planner: Planner,
    pub(super) forward: ForwardPass,
    pub(super) window: AccumulationWindow,
    pub(super) guard: FiniteGuard,
    pub(super) modulation: Option<Box<dyn Modulate>>,
    pub(super) observers: Observers,
    pub(super) updater: Updater,
    pub(super) progress: Progress,
    pub(super) ranks: Ranks,
    pub(super) replica_buffers: ReplicaBuffers,
}

impl G2dTrainer {
    /// Runs one G²D step: teachers, ρ, plan, student, L_G2D, backward, modulation. When it returns, the
    /// gradients are ready for the caller's optimizer if the report's
    /// [`outcome`](StepReport::outcome) is `Ready`.
    ///
    /// Gradients add to those that exist, so zero them first, except for encoders suppressed under
    /// [`Suppression::SkipBackward`](super::Suppression::SkipBackward): theirs are undefined afterwards.
    ///
    /// The step synchronises with a device other than the CPU only where the scheduler reads ρ of
    /// teachers that are not cached, where a modulation reads what it weighs, and once per accumulation
    /// window in fp16 and under a [`NonFinite`](super::NonFinite) policy that skips.
    ///
    /// # Errors
    /// An error for a wrong shape, dtype or device in the batch, in a teacher's output or in the
    /// student's output; for a batch without a modality for which
    /// [`Student::feature_shape`] returns `None`; for a target that the loss refuses; for a sample that
    /// a cached teacher does not have; and for a loss or a buffer that is not finite. All of these come
    /// before backward: no gradient and no buffer has changed, and the step does not count.
    ///
    /// An error of a [`Modulate`] or of a probe comes after backward: zero the gradients before the next
    /// step. So does the error for a student none of whose parameters the trainer was built with.
    ///
    /// On a device other than the CPU a loss or a buffer that is not finite is found by the next step that
    /// reads ρ, after 1024 steps at most, or by [`end_epoch`](Self::end_epoch); the message names the step
    /// that computed it.
    pub fn step(&mut self, student: &dyn Student, batch: &Batch) -> Result<StepReport> {
        let (parts, micro_batch) =
            self.begin(student, batch).map_err(|error| self.fail(Call::Plan, error))?;
        self.run(&Caught(student), &parts, micro_batch).or_else(|error| {
            self.window.revert()?;
            Err(error)
        })
    }

    /// Checks a batch and begins its micro-batch.
    fn begin<'a>(
        &mut self,
        student: &dyn Student,
        batch: &'a Batch,
    ) -> Result<(SplitBatch<'a>, MicroBatch)> {
        self.check(student, batch)?;
        let parts = SplitBatch::new(batch, self.modalities().len())?;
        Ok((parts, self.window.begin(self.params.variables())?))
    }

    /// Runs the step of a micro-batch that has begun.
    fn run(
        &mut self,
        student: &dyn Student,
        parts: &SplitBatch<'_>,
        micro_batch: MicroBatch,
    ) -> Result<StepReport> {
        let (at, batch) = (self.progress, parts.whole());
        let planned =
            self.planner.plan(at, parts, &self.objective, &mut self.guard, &self.ranks)?;
        let computed = self.compute(student, parts, &planned);
        let (StudentOutput { features, logits, unimodal, .. }, terms) =
            computed.map_err(|error| self.fail(Call::Loss, error))?;
        let Planned { teachers, confidence, plan, combined } = planned;
        let logits = libtorch::detach(&logits)?;
        let observation = Observation {
            at,
            micro_batch,
            batch,
            rows: parts.rows(),
            params: &self.params,
            plan: &plan,
            teachers: &teachers,
            confidence: &confidence,
            terms: &terms,
            logits: &logits,
            fused: &features,
            student: Some(student),
            objective: &self.objective,
            ranks: &self.ranks,
            combined: &combined,
            unimodal: detached(&unimodal),
        };
        if let Some(modulation) = &self.modulation
            && at.total_steps == 0
        {
            modulation::check(modulation.as_ref(), &observation)
                .map_err(|error| self.fail(Call::Loss, error))?;
        }
        let outcome = gradients::compute(
            &observation,
            &mut self.window,
            &mut self.guard,
            &mut self.observers,
        )?;
        let modulation = match &mut self.modulation {
            Some(modulation) if outcome.is_ready() => {
                modulation::apply(modulation.as_mut(), &observation)?
            }
            _ => None,
        };
        let report = observation.report(outcome, modulation)?;
        self.observers
            .after_step(&observation, &report)
            .map_err(|error| self.ranks.close_after(error))?;
        self.progress.step += 1;
        self.progress.total_steps += 1;
        self.progress.updates += u64::from(report.outcome.is_ready());
        Ok(report)
    }

    /// Runs the student under a plan and computes the terms of the loss.
    fn compute(
        &mut self,
        student: &dyn Student,
        parts: &SplitBatch<'_>,
        planned: &Planned,
    ) -> Result<(StudentOutput, Terms)> {
        let Planned { teachers, plan, combined, .. } = planned;
        let frozen = self.forward.freeze(plan, &self.params)?;
        let output =
            self.forward.run(student, parts, teachers, plan, &self.params, &self.objective)?;
        drop(frozen);
        let mut terms = self.objective.terms(&loss::Input {
            modalities: self.objective.modalities(),
            logits: &output.logits,
            features: &output.distilled,
            teachers,
            unimodal: &output.unimodal,
            rows: parts.rows(),
            targets: parts.whole().targets(),
            extras: parts.whole().extras(),
        })?;
        check_learnable(&terms)?;
        combined.balance(&mut terms, self.objective.term_weights(), self.objective.modalities())?;
        Ok((output, terms))
    }

    /// Makes the gradients of an open accumulation window final, at the end of an epoch for example:
    /// they become the mean over the micro-batches so far. Returns `None` if no window is open. Then
    /// [`update`](Self::update) applies them, or [`finish_update`](Self::finish_update) does both.
    ///
    /// # Errors
    /// As [`step`](Self::step) for gradients that are not finite.
    pub fn finish_window(&mut self) -> Result<Option<StepOutcome>> {
        if self.window.position().is_first() {
            return Ok(None);
        }
        let Self { window, guard, params, ranks, .. } = self;
        ranks.agree(Call::FinishWindow, self.progress.total_steps, Ok(()), |()| Vec::new())?;
        let Some(flag) = window.complete_early(params.variables())? else { return Ok(None) };
        let outcome = gradients::conclude(None, flag, self.progress, params, window, guard)?;
        self.progress.updates += u64::from(outcome.is_ready());
        Ok(Some(outcome))
    }

    /// Ends an epoch: reads its means in one transfer, informs the scheduler, and collects the probes'
    /// measurements. Discards an open accumulation window.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if no step was made since the last call;
    /// [`Error::NonFinite`](crate::Error::NonFinite) for a deferred loss that is not finite.
    pub fn end_epoch(&mut self) -> Result<EpochReport> {
        let ready = self.check_epoch();
        self.ranks.agree(Call::EndEpoch, self.progress.total_steps, ready, |()| Vec::new())?;
        let modalities = self.objective.modalities();
        let mut report = self.observers.means(self.progress, modalities, &self.ranks)?;
        report.unfinished = self.window.discard(self.params.variables())?;
        self.replica_buffers.apply(&self.ranks, self.params.variables())?;
        self.planner.end_epoch(self.progress.epoch, &report.confidence)?;
        self.observers
            .end_epoch(&mut report, &self.ranks)
            .map_err(|error| self.ranks.close_after(error))?;
        self.progress.epoch += 1;
        self.progress.step = 0;
        Ok(report)
    }

    /// Refuses an epoch without a step, and a deferred loss that is not finite.
    fn check_epoch(&mut self) -> Result<()> {
        if self.progress.step == 0 {
            return Err(error::config(
                format!("epoch {}", self.progress.epoch),
                "at least one step before `end_epoch`",
                "none",
                "check that the loader yields batches",
            ));
        }
        self.guard.read(&[]).map(drop)
    }

    /// The position in the training run.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The device of the student.
    pub fn device(&self) -> Device {
        self.params.device()
    }

    /// The modalities, in the student's order.
    pub fn modalities(&self) -> &[Modality] {
        self.objective.modalities()
    }

    /// The loss scale in fp16; `None` in another precision.
    pub fn loss_scale(&self) -> Option<LossScale> {
        self.window.loss_scale()
    }

    /// The precision of forward passes.
    pub(crate) fn precision(&self) -> Precision {
        self.forward.precision()
    }

    fn check(&self, student: &dyn Student, batch: &Batch) -> Result<()> {
        if student.modalities() == self.modalities() {
            return batch.check(self.modalities(), self.params.device());
        }
        Err(error::config(
            "student given to `step`",
            format!("the modalities {:?} that the trainer was built for", self.modalities()),
            format!("{:?}", student.modalities()),
            "build a trainer for each student",
        ))
    }
}

/// Unimodal logits that the loss has used, for the observers; to be computed if it has not.
fn detached(unimodal: &[Option<Tensor>]) -> OnceCell<Vec<Option<Tensor>>> {
    let detach = |logits: &Option<Tensor>| logits.as_ref().map(Tensor::detach);
    match unimodal {
        [] => OnceCell::new(),
        all => OnceCell::from(all.iter().map(detach).collect::<Vec<_>>()),
    }
}

/// Refuses a loss that depends on no parameter.
fn check_learnable(terms: &Terms) -> Result<()> {
    if terms.total.requires_grad() {
        return Ok(());
    }
    Err(error::config(
        "loss",
        "a parameter that it depends on",
        "none, so that nothing can learn",
        "call `step` with gradients on, and let the student's layers require them",
    ))
}

impl fmt::Debug for G2dTrainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("G2dTrainer")
            .field("modalities", &self.modalities())
            .field("progress", &self.progress)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
