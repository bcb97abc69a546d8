//! One step, from batch to gradients.

use std::{cell::OnceCell, fmt};

use tch::Tensor;

use super::report::{EpochReport, EpochTotals, StepReport};
use super::{Suppression, check::check_rows, features::features};
use crate::{
    Batch, Confidence, Error, FeatureProjection, G2dLoss, GradientModulation, ImbalanceProbe,
    LossInput, LossTerms, Modality, ModalityParams, Observation, Plan, Progress, Result, Rows,
    SeenTerms, SmpScheduler, Student, Teacher, TeacherOutput, error, parts::Parts,
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
    pub(super) modulation: Option<Box<dyn GradientModulation>>,
    pub(super) projection: FeatureProjection,
    pub(super) probes: Vec<Box<dyn ImbalanceProbe>>,
    pub(super) progress: Progress,
    pub(super) totals: EpochTotals,
    /// The losses that were not read yet, and where they were made (devices other than the CPU).
    pub(super) unread: Vec<(Progress, Tensor)>,
}

impl G2dTrainer {
    /// One G²D step: teachers, ρ, plan, student, L_G2D, backward, modulation; gradients are ready for
    /// the caller's optimizer when it returns.
    ///
    /// Gradients add to those that are there (call `zero_grad` first), but for encoders suppressed
    /// under [`Suppression::SkipBackward`]: theirs are undefined afterwards. The report's tensors are
    /// on the device; on the CPU nothing waits, on another device only a schedule that reads ρ of
    /// teachers that are not cached, and a modulation that reads what it weighs.
    ///
    /// # Errors
    /// Wrong shapes, kinds or devices in the batch, in a teacher's answer or in the student's output;
    /// a batch without a modality whose feature shape the student does not tell; a target that the
    /// loss refuses; a teacher that does not know a sample; a loss that is not finite. All come before
    /// `backward`, so no gradient has changed and the step does not count.
    /// Only the error of a [`GradientModulation`] or a probe comes after it: zero the gradients before
    /// going on.
    /// On a device other than the CPU a loss that is not finite is found later, by the next step that
    /// reads ρ or by [`end_epoch`](Self::end_epoch), and the message names the step it came from.
    pub fn step(&mut self, student: &dyn Student, batch: &Batch) -> Result<StepReport> {
        self.check_student(student)?;
        batch.check(&self.modalities, self.params.device())?;

        let parts = Parts::of(batch, self.modalities.len())?;
        let teachers = self.ask_teachers(&parts)?;
        let confidence = self.confidences(&teachers, &parts)?;
        let plan = self.plan(&teachers, &confidence, &parts)?;

        let features = features(student, &self.modalities, &parts, |m, part| {
            self.encode(student, m, part, &plan)
        })?;
        let logits = student.fuse(&features, true)?;
        self.check_logits(&logits, &teachers, &parts)?;
        let terms = self.loss_terms(student, &logits, &features, &teachers, &parts)?;
        self.check_finite(&terms)?;
        self.check_modulation(student, &features)?;
        self.observe_terms(&terms, &parts)?;

        terms.total.f_backward().map_err(|e| Error::torch("run backward", e))?;
        self.suppression.settle(&plan, &self.params)?;
        let modulation = self.modulate(student, &plan, &logits, &features, &parts)?;

        let report = StepReport {
            at: self.progress,
            plan,
            modulation,
            batch_size: batch.size(),
            present: parts.counts(),
            terms: detached(terms),
            confidence,
            logits: logits.detach(),
        };
        self.observe(student, &report, &parts, &features, &teachers)?;
        self.totals.add(&report)?;
        self.progress.step += 1;
        self.progress.total_steps += 1;
        Ok(report)
    }

    /// Closes an epoch: reads its means in one transfer, tells the scheduler, asks the probes.
    ///
    /// # Errors
    /// [`Error::Config`] if no step was made since the last call; [`Error::NonFinite`] if a loss that
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

    /// The modalities, in the student's order.
    pub fn modalities(&self) -> &[Modality] {
        &self.modalities
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

    fn encode(
        &self,
        student: &dyn Student,
        m: usize,
        batch: &Batch,
        plan: &Plan,
    ) -> Result<Tensor> {
        let features = self.suppression.encode(student, m, batch, plan)?;
        check_rows(
            &format!("features of modality {:?}", self.modalities[m]),
            &features,
            None,
            batch,
        )?;
        Ok(features)
    }

    fn check_logits(
        &self,
        logits: &Tensor,
        teachers: &[Option<TeacherOutput>],
        parts: &Parts<'_>,
    ) -> Result<()> {
        check_rows("logits of the student", logits, Some(2), parts.whole())?;
        let classes = logits.size()[1];
        for (m, teacher) in teachers.iter().enumerate() {
            let Some(teacher) = teacher else { continue };
            let size = teacher.logits.size();
            if size[1] != classes {
                return Err(error::shape(
                    format!("logits of teacher {:?}", self.modalities[m]),
                    format!("{:?}, the student's", [size[0], classes]),
                    format!("{size:?}"),
                    "teachers and student must know the same classes",
                ));
            }
        }
        let checked =
            |(teacher, rows): (&Option<_>, &Rows)| teacher.is_some() && matches!(rows, Rows::All);
        if teachers.iter().zip(parts.rows()).any(checked) {
            return Ok(()); // against a teacher's logits, of the same shape
        }
        self.loss.check_targets(&logits.size(), parts.whole().targets())
    }

    fn loss_terms(
        &self,
        student: &dyn Student,
        logits: &Tensor,
        features: &[Tensor],
        teachers: &[Option<TeacherOutput>],
        parts: &Parts<'_>,
    ) -> Result<LossTerms> {
        let batch = parts.whole();
        let distilled = self.distilled(student, features, teachers, batch)?;
        let projected = distilled
            .iter()
            .zip(&self.modalities)
            .map(|(features, modality)| self.projection.apply(modality, features))
            .collect::<Result<Vec<_>>>()?;
        let terms = self.loss.terms(&LossInput {
            modalities: &self.modalities,
            logits,
            features: &projected,
            teachers,
            rows: parts.rows(),
            targets: batch.targets(),
        })?;
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

    /// What L_feat compares: the student's word, checked. Without teachers nobody asks.
    fn distilled(
        &self,
        student: &dyn Student,
        features: &[Tensor],
        teachers: &[Option<TeacherOutput>],
        batch: &Batch,
    ) -> Result<Vec<Tensor>> {
        if teachers.is_empty() {
            return Ok(features.iter().map(Tensor::shallow_clone).collect());
        }
        let distilled = student.distilled_features(features)?;
        if distilled.len() != features.len() {
            return Err(error::shape(
                "distilled features of the student",
                format!("{} tensors, one for each of {:?}", features.len(), self.modalities),
                format!("{}", distilled.len()),
                "mend `Student::distilled_features`",
            ));
        }
        for (modality, distilled) in self.modalities.iter().zip(&distilled) {
            let what = format!("distilled features of modality {modality:?}");
            check_rows(&what, distilled, None, batch)?;
        }
        Ok(distilled)
    }

    /// Shows the probes the graph that backward will free.
    fn observe_terms(&mut self, terms: &LossTerms, parts: &Parts<'_>) -> Result<()> {
        let seen = SeenTerms {
            at: self.progress,
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
