//! A case as a user's loop, with the checks of errors and skipped steps.

use g2d::{
    Batch, Error, G2dTrainer, StepOutcome, StepReport,
    optim::Optimizer,
    probe::{
        ConfidenceRatio, GradientCosine, GradientNorm, HeadAccuracy, LossRatio, ModalityGap,
        StudentConfidence, TeacherCka, UpdateRatio,
    },
    step::SkipCause,
    teacher::Cached,
    trainer::{NonFinite, Precision},
};
use proptest::{prelude::*, test_runner::TestCaseError};
use tch::nn;

use super::{
    case::{AfterStep, Case, Step, TeacherKind},
    faults::{Expected, Fault, FaultKind},
    model::{CurrentFault, FaultyTeacher, LinearTeacher, Model},
};
use crate::support::{Snapshot, gradients, is_same, values};

pub(super) type Check = Result<(), TestCaseError>;

pub fn run(case: &Case) -> Check {
    let fault = CurrentFault::default();
    let (model, projection) = Model::new(case, &fault);
    let mut builder = G2dTrainer::builder(case.loss())
        .encoders(model.params())
        .projection(projection)
        .scheduler(case.scheduler())
        .suppression(case.suppression)
        .suppressed_mode(case.mode)
        .accumulate(case.window)
        .precision(case.precision)
        .loss_scaling(case.scaling)
        .non_finite(case.non_finite)
        .probe(ConfidenceRatio::default())
        .probe(StudentConfidence::default())
        .probe(HeadAccuracy::default())
        .probe(LossRatio::default())
        .probe(GradientNorm::default())
        .probe(UpdateRatio::with_interval(1))
        .probe(GradientCosine::with_interval(1))
        .probe(TeacherCka::with_interval(1))
        .probe(ModalityGap::default());
    for (m, kind) in case.teachers.iter().enumerate() {
        let live = LinearTeacher::new(case, m);
        let inner: Box<dyn g2d::Teacher> = match kind {
            TeacherKind::Live => Box::new(live),
            TeacherKind::Cached => {
                let steps = case.steps.iter().enumerate();
                let batches = steps.map(|(i, step)| Ok(model.batch(step.rows, first_id(i))));
                Box::new(Cached::record(&live, m, batches).unwrap())
            }
        };
        builder = builder.teacher(FaultyTeacher(inner, fault.clone()));
    }
    let trainer = builder.build(&model).map_err(failure)?;
    let (optimizer, window) = (model.optimizer(), Window::new(case, &model.vs));
    Run { case, fault, trainer, optimizer, window, model: &model }.steps()
}

/// The first sample id of step `i`.
fn first_id(i: usize) -> i64 {
    100 * (1 + i as i64)
}

pub(super) fn failure(error: Error) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// The accumulation window as the caller sees it.
pub(super) struct Window {
    /// The number of its micro-batches so far.
    pub index: u64,
    /// Whether each modality has learnt in it so far.
    pub learnt: Vec<bool>,
    /// Whether each encoder has had a feature or head term in it so far.
    pub taught: Vec<bool>,
    /// All variables at its beginning.
    pub before: Snapshot,
    /// Whether it may have a gradient that is not finite.
    infinite_slope: bool,
}

impl Window {
    fn new(case: &Case, vs: &nn::VarStore) -> Self {
        let none = || vec![false; case.k()];
        Self { index: 0, learnt: none(), taught: none(), before: values(vs), infinite_slope: false }
    }
}

pub(super) struct Run<'a> {
    pub case: &'a Case,
    fault: CurrentFault,
    trainer: G2dTrainer,
    optimizer: Optimizer,
    pub window: Window,
    pub model: &'a Model,
}

impl Run<'_> {
    fn steps(mut self) -> Check {
        for (i, step) in self.case.steps.iter().enumerate() {
            self.step(i, step)?;
            match step.after {
                AfterStep::Nothing => {}
                AfterStep::FinishWindow => self.finish_window()?,
                AfterStep::EndEpoch => self.end_epoch()?,
            }
        }
        self.fault.set(None);
        let batches = (0..3).map(|rows| Ok(self.model.batch(1 + rows, 7)));
        let predictions = self.trainer.evaluate(self.model, batches).map_err(failure)?;
        prop_assert_eq!(predictions.logits.size(), [6, self.case.columns]);
        Ok(())
    }

    /// The fault of a step, unless the case must not have it.
    fn fault(&self, step: &Step) -> Option<Fault> {
        step.fault.filter(|fault| match fault.kind {
            // Without a check of the gradients they would corrupt the weights.
            FaultKind::InfiniteSlope => self.case.skips() || self.case.precision == Precision::Fp16,
            // Feature and head terms would still connect the loss to the encoders.
            FaultKind::LogitDetached => {
                let features = !self.case.teachers.is_empty() && self.case.distillation.alpha > 0.0;
                !features && (0..self.case.k()).all(|m| !self.case.trains_head(m))
            }
            // A probe would refuse such logits after backward.
            FaultKind::HeadShape | FaultKind::HeadKind => self.case.needs_heads(),
            _ => true,
        })
    }

    fn batch(&self, i: usize, step: &Step, fault: Option<Fault>) -> Batch {
        let batch = self.model.batch(step.rows, first_id(i));
        let batch = match fault {
            Some(fault) => fault.apply(batch, self.case),
            None => batch,
        };
        let flags = step.present.iter().enumerate().filter_map(|(m, f)| Some((m, f.clone()?)));
        // These faults have set flags of their own.
        let set_by_fault = |m: usize| match fault.map(|fault| fault.kind) {
            Some(FaultKind::NoModality) => true,
            Some(FaultKind::FlagCount) => fault.is_some_and(|fault| fault.modality == m),
            _ => false,
        };
        let flags = flags.filter(|(m, _)| !set_by_fault(*m));
        flags.fold(batch, |batch, (m, flags)| batch.with_present(m, flags))
    }

    fn step(&mut self, i: usize, step: &Step) -> Check {
        let fault = self.fault(step);
        let expected = fault.map_or(Expected::Success, |fault| fault.expected(self.case, step));
        let batch = self.batch(i, step, fault);
        self.fault.set(fault);
        if self.window.index == 0 {
            self.optimizer.zero_grad().map_err(failure)?;
            self.window = Window::new(self.case, &self.model.vs);
        }
        let (at, weights, grads) =
            (self.trainer.progress(), values(&self.model.vs), gradients(&self.model.vs));
        match self.trainer.step(self.model, &batch) {
            Ok(report) => {
                prop_assert_eq!(report.at, at);
                let (after, total_steps) = (self.trainer.progress(), at.total_steps + 1);
                prop_assert_eq!((after.step, after.total_steps), (at.step + 1, total_steps));
                self.check_report(step, &report)?;
                self.check_outcome(&report, &expected)
            }
            Err(error) => {
                prop_assert_eq!(self.trainer.progress(), at);
                // An error before backward leaves the window open; a later one discards it.
                let (left, after) = (gradients(&self.model.vs), values(&self.model.vs));
                let mut before = &weights;
                if !is_same(&left, &grads) {
                    prop_assert!(left.is_empty(), "gradients after {}", error);
                    self.window.index = 0;
                    before = &self.window.before;
                }
                prop_assert!(is_same(&after, before), "a variable changed: {}", error);
                self.check_error(&error.to_string(), &expected)
            }
        }
    }

    /// Checks that the error is the expected one.
    fn check_error(&self, message: &str, expected: &Expected) -> Check {
        let stops = match self.case.non_finite {
            NonFinite::Error | NonFinite::StopAfter(_) => true,
            NonFinite::Skip => false,
        };
        let gradient = vec!["gradient".to_owned()];
        let words = match expected {
            Expected::Error(words) | Expected::MayBeError(words) => words,
            Expected::NonFinite(words) | Expected::MayBeNonFinite(words) if stops => words,
            Expected::Success if self.window.infinite_slope => &gradient,
            _ => return Err(TestCaseError::fail(format!("{expected:?}, but {message}"))),
        };
        for word in words {
            prop_assert!(message.contains(word), "{:?} is missing in: {}", word, message);
        }
        Ok(())
    }

    /// Checks that the outcome is the expected one, and gradients and variables by the outcome.
    fn check_outcome(&mut self, report: &StepReport, expected: &Expected) -> Check {
        let infinite_slope =
            matches!(expected, Expected::MayBeNonFinite(words) if words[0] == "gradient");
        match &report.outcome {
            StepOutcome::Skipped(cause) => {
                match (cause, expected) {
                    (SkipCause::Overflow { .. }, _) => {
                        prop_assert_eq!(self.case.precision, Precision::Fp16);
                    }
                    (
                        SkipCause::NonFinite(source),
                        Expected::NonFinite(words) | Expected::MayBeNonFinite(words),
                    ) => {
                        prop_assert!(self.case.skips() || infinite_slope);
                        let source = source.to_string();
                        prop_assert!(source.contains(&words[0]), "{:?}: {}", words, source);
                    }
                    (SkipCause::NonFinite(source), _) => {
                        let expected = self.window.infinite_slope;
                        prop_assert!(expected, "skipped without a cause: {}", source);
                    }
                }
                self.check_undone()
            }
            outcome => {
                let success = !matches!(expected, Expected::Error(_) | Expected::NonFinite(_));
                prop_assert!(success, "{:?}, but {:?}", expected, outcome);
                self.window.infinite_slope |= infinite_slope;
                for (learnt, &kappa) in self.window.learnt.iter_mut().zip(report.plan.kappa()) {
                    *learnt |= kappa > 0.0;
                }
                for (m, taught) in self.window.taught.iter_mut().enumerate() {
                    let head = report.terms.head.get(m).is_some_and(Option::is_some);
                    *taught |= head || report.terms.feature[m].is_some();
                }
                if outcome.is_ready() {
                    self.check_gradients(report)
                } else {
                    prop_assert_eq!(outcome, &StepOutcome::Accumulating);
                    self.window.index += 1;
                    Ok(())
                }
            }
        }
    }

    /// Makes an optimizer step. Gradients are clipped first, so that no case diverges.
    pub fn update(&mut self) -> Check {
        self.optimizer.clip_grad_norm(1.0).map_err(failure)?;
        self.optimizer.step().map_err(failure)
    }

    /// Checks that a skipped step has changed nothing, and that an optimizer step after it does not
    /// either.
    fn check_undone(&mut self) -> Check {
        prop_assert!(gradients(&self.model.vs).is_empty());
        self.update()?;
        let unchanged = is_same(&values(&self.model.vs), &self.window.before);
        prop_assert!(unchanged, "a skipped step changed a variable");
        self.window.index = 0;
        Ok(())
    }

    fn finish_window(&mut self) -> Check {
        let open = self.window.index > 0;
        match self.trainer.finish_window() {
            Ok(None) => prop_assert!(!open),
            Ok(Some(StepOutcome::Ready)) => {
                prop_assert!(open);
                self.update()?;
            }
            Ok(Some(outcome)) => {
                prop_assert!(open && outcome.skipped().is_some());
                self.check_undone()?;
            }
            Err(error) => {
                prop_assert!(open && self.window.infinite_slope, "{}", error);
                prop_assert!(gradients(&self.model.vs).is_empty());
            }
        }
        self.window.index = 0;
        Ok(())
    }

    fn end_epoch(&mut self) -> Check {
        let at = self.trainer.progress();
        match self.trainer.end_epoch() {
            Ok(report) => {
                prop_assert_eq!((report.epoch, report.steps), (at.epoch, at.step));
                prop_assert_eq!(report.unfinished, self.window.index);
                prop_assert!(report.skipped <= report.steps);
                prop_assert!(report.kappa.iter().all(|kappa| (0.0..=1.0).contains(kappa)));
                let text = serde_json::to_string(&report).unwrap();
                prop_assert!(serde_json::from_str::<g2d::EpochReport>(&text).is_ok());
                if self.window.index > 0 {
                    prop_assert!(gradients(&self.model.vs).is_empty());
                }
                self.window.index = 0;
            }
            Err(error) => {
                let message = error.to_string();
                // A ρ that is not finite and that no step has read.
                let unread = message.contains("confidence ρ") && !self.case.skips();
                prop_assert!(at.step == 0 || unread, "{}", message);
            }
        }
        Ok(())
    }
}
