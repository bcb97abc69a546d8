//! One step, from batch to gradients.

use std::{cell::OnceCell, fmt};

use tch::{Device, Tensor};

use super::report::{EpochReport, EpochTotals, StepReport};
use super::{
    LossScale, LossScaling, NonFinite, Precision, Skipped, StepOutcome, SuppressedMode, Suppression,
};
use super::{
    accumulation::Accumulation,
    answer::Answer,
    check::check_terms,
    finite::{Evidence, Unread},
};
use crate::{
    Batch, Confidence, FeatureProjection, G2dLoss, GradientModulation, ImbalanceProbe, LossInput,
    LossTerms, Modality, ModalityParams, Observation, Progress, Result, SeenTerms, SmpScheduler,
    Student, Teacher, TeacherOutput, error, parts::Parts,
};

/// Runs G²D steps inside the caller's loop.
///
/// The caller keeps the loop, the data and the optimizer:
///
/// ```text
/// optimizer.zero_grad();
/// let report = trainer.step(&student, &batch)?;   // teachers, plan, forward, loss, backward
/// optimizer.step();
/// …
/// let epoch = trainer.end_epoch()?;
/// ```
pub struct G2dTrainer {
    pub(super) modalities: Vec<Modality>,
    pub(super) loss: Box<dyn G2dLoss>,
    pub(super) confidence: Option<Box<dyn Confidence>>,
    pub(super) params: ModalityParams,
    pub(super) teachers: Vec<Box<dyn Teacher>>,
    pub(super) scheduler: Box<dyn SmpScheduler>,
    pub(super) suppression: Suppression,
    pub(super) suppressed_mode: SuppressedMode,
    pub(super) accumulation: Accumulation,
    pub(super) precision: Precision,
    pub(super) loss_scaling: LossScaling,
    pub(super) loss_scale: LossScale,
    pub(super) non_finite: NonFinite,
    pub(super) skipped_in_a_row: u32,
    pub(super) modulation: Option<Box<dyn GradientModulation>>,
    pub(super) projection: FeatureProjection,
    pub(super) probes: Vec<Box<dyn ImbalanceProbe>>,
    pub(super) progress: Progress,
    pub(super) totals: EpochTotals,
    /// The losses that were not read yet, and where they were made (devices other than the CPU).
    pub(super) unread: Vec<Unread>,
}

impl G2dTrainer {
    /// One G²D step: teachers, ρ, plan, student, L_G2D, backward, modulation; gradients are ready for
    /// the caller's optimizer when it returns.
    ///
    /// Gradients add to those that are there (call `zero_grad` first), but for encoders suppressed
    /// under [`Suppression::SkipBackward`]: theirs are undefined afterwards. The report's
    /// [`outcome`](StepReport::outcome) says whether they are complete, where they accumulate, or the
    /// step was skipped. Its tensors are on the device; on the CPU nothing waits, on another device only
    /// a schedule that reads ρ of teachers that are not cached, a modulation that reads what it
    /// weighs, and once a window fp16 or a [`NonFinite`] policy that skips.
    ///
    /// # Errors
    /// Wrong shapes, kinds or devices in the batch, in a teacher's answer or in the student's output;
    /// a batch without a modality whose feature shape the student does not tell; a target that the
    /// loss refuses; a teacher that does not know a sample; a loss that is not finite. All come before
    /// `backward`, so no gradient has changed and the step does not count; running statistics may have
    /// moved where an encoder had run ([`NonFinite::Skip`] puts those of a skipped step back).
    /// Only the error of a [`GradientModulation`] or a probe comes after it: zero the gradients before
    /// going on.
    /// On a device other than the CPU a loss that is not finite is found later, by the next step that
    /// reads ρ, after 1024 steps at most, or by [`end_epoch`](Self::end_epoch), and the message names the step it came from.
    pub fn step(&mut self, student: &dyn Student, batch: &Batch) -> Result<StepReport> {
        self.check_student(student)?;
        batch.check(&self.modalities, self.params.device())?;
        self.open_window()?;

        let parts = Parts::of(batch, self.modalities.len())?;
        let teachers = self.ask_teachers(&parts)?;
        let confidence = self.confidences(&teachers, &parts)?;
        let plan = self.plan(&teachers, &confidence, &parts)?;
        let confidence = self.on_device(confidence)?;

        let answer = self.answer(student, &parts, &teachers, &plan)?;
        let terms = self.loss_terms(&answer, &teachers, &parts)?;
        self.check_modulation(student, &answer.features)?;

        let made = Evidence {
            batch,
            teachers: &teachers,
            confidence: &confidence,
            features: &answer.features,
            logits: &answer.logits,
            terms: &terms,
        };
        let window = self.accumulation.window();
        let outcome = match self.check_loss(&made)? {
            None => {
                if window.is_last() {
                    self.observe_terms(&terms, &parts)?;
                }
                self.learn(&made, &plan)?
            }
            Some(source) => {
                let before = self.accumulation.reset();
                self.skip(Skipped::NonFinite(source), before)?
            }
        };
        let modulation = match outcome {
            StepOutcome::Ready => self.modulate(student, &plan, &answer, &parts)?,
            _ => None,
        };

        let report = StepReport {
            at: self.progress,
            plan,
            modulation,
            window,
            outcome,
            batch_size: batch.size(),
            present: parts.counts(),
            terms: detached(terms),
            confidence,
            logits: answer.logits.detach(),
        };
        if report.outcome.is_ready() {
            self.observe(student, &report, &parts, &answer.features, &teachers)?;
        }
        if report.outcome.skipped().is_none() {
            self.totals.add(&report)?;
        }
        self.progress.step += 1;
        self.progress.total_steps += 1;
        Ok(report)
    }

    /// Closes an epoch: reads its means in one transfer, tells the scheduler, asks the probes.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if no step was made since the last call; [`Error::NonFinite`](crate::Error::NonFinite) if a loss that
    /// was not read before turns out not to be finite.
    pub fn end_epoch(&mut self) -> Result<EpochReport> {
        if self.progress.step == 0 {
            return Err(error::config(
                format!("epoch {}", self.progress.epoch),
                "at least one step before `end_epoch`",
                "none",
                "check that the loader yields batches",
            ));
        }
        self.read_unread(&[])?;
        let mut report = self.totals.read(self.progress, &self.modalities)?;
        report.unfinished = self.drop_window()?;
        self.scheduler.end_epoch(self.progress.epoch, &report.confidence)?;
        for probe in &mut self.probes {
            report.measurements.extend(probe.end_epoch()?);
        }
        self.totals = EpochTotals::new(self.modalities.len());
        self.progress.epoch += 1;
        self.progress.step = 0;
        Ok(report)
    }

    /// Where training stands.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The device that the student is on.
    pub fn device(&self) -> Device {
        self.params.device()
    }

    /// The modalities, in the student's order.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    /// fp16's loss scale; `None` in another precision.
    pub fn loss_scale(&self) -> Option<LossScale> {
        (self.precision == Precision::Fp16).then_some(self.loss_scale)
    }

    fn check_student(&self, student: &dyn Student) -> Result<()> {
        if student.modalities() == self.modalities {
            return Ok(());
        }
        Err(error::config(
            "student given to `step`",
            format!("the modalities {:?} that the trainer was built for", self.modalities),
            format!("{:?}", student.modalities()),
            "build a trainer for each student",
        ))
    }

    fn loss_terms(
        &self,
        answer: &Answer,
        teachers: &[Option<TeacherOutput>],
        parts: &Parts<'_>,
    ) -> Result<LossTerms> {
        let terms = self.loss.terms(&LossInput {
            modalities: &self.modalities,
            logits: &answer.logits,
            features: &answer.distilled,
            teachers,
            rows: parts.rows(),
            targets: parts.whole().targets(),
        })?;
        check_terms(&terms, self.modalities.len())?;
        if terms.total.requires_grad() {
            return Ok(terms);
        }
        Err(error::config(
            "loss",
            "a parameter that it depends on",
            "none: nothing could learn",
            "call `step` with gradients on, and let the student's layers require them",
        ))
    }

    /// Shows the probes the graph that backward will free.
    fn observe_terms(&mut self, terms: &LossTerms, parts: &Parts<'_>) -> Result<()> {
        let seen = SeenTerms {
            at: self.progress,
            window: self.accumulation.window(),
            modalities: &self.modalities,
            terms,
            rows: parts.rows(),
            params: &self.params,
        };
        self.probes.iter_mut().try_for_each(|probe| probe.observe_terms(&seen))
    }

    fn observe(
        &mut self,
        student: &dyn Student,
        report: &StepReport,
        parts: &Parts<'_>,
        features: &[Tensor],
        teachers: &[Option<TeacherOutput>],
    ) -> Result<()> {
        if self.probes.is_empty() {
            return Ok(());
        }
        let _no_grad = tch::no_grad_guard();
        let features: Vec<Tensor> = features.iter().map(Tensor::detach).collect();
        let seen = Observation {
            report,
            modalities: &self.modalities,
            batch: parts.whole(),
            rows: parts.rows(),
            params: &self.params,
            features: &features,
            teachers,
            student,
            loss: self.loss.as_ref(),
            confidence: self.confidence.as_deref(),
            heads: OnceCell::new(),
        };
        self.probes.iter_mut().try_for_each(|probe| probe.observe(&seen))
    }
}

fn detached(terms: LossTerms) -> LossTerms {
    let each = |terms: Vec<Option<Tensor>>| {
        terms.into_iter().map(|term| term.map(|t| t.detach())).collect()
    };
    LossTerms {
        total: terms.total.detach(),
        task: terms.task.detach(),
        feature: each(terms.feature),
        logit: each(terms.logit),
    }
}

impl fmt::Debug for G2dTrainer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("G2dTrainer")
            .field("modalities", &self.modalities)
            .field("progress", &self.progress)
            .field("suppression", &self.suppression)
            .finish_non_exhaustive()
    }
}
