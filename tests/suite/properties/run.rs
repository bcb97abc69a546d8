//! A case as a user's loop, and what must hold when a step ends in an error or is skipped.

use g2d::{
    Batch, Error, G2dLoss, G2dTrainer, Modality, StepOutcome, StepReport, loss,
    probe::{
        ConfidenceRatio, GradientCosine, GradientNorm, HeadAccuracy, LossRatio, ModalityGap,
        StudentConfidence, TeacherCka, UpdateRatio,
    },
    step::SkipCause,
    teacher::Cached,
    trainer::{NonFinite, Precision},
};
use proptest::{prelude::*, test_runner::TestCaseError};
use tch::{Tensor, nn};

use super::{
    case::{Case, Step, Taught, Then},
    faults::{Expected, Wrong},
    model::{Mapped, Model, Now, Told},
};
use crate::support::{Snapshot, gradients, same, values};

pub(super) type Holds = Result<(), TestCaseError>;

const IDS: i64 = 100;

pub fn run(case: &Case) -> Holds {
    let now = Now::default();
    let (model, projection) = Model::new(case, &now);
    let mut builder = G2dTrainer::builder(Boxed(case.loss()))
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
    for (m, taught) in case.teachers.iter().enumerate() {
        let live = Mapped::new(case, m);
        let inner: Box<dyn g2d::Teacher> = match taught {
            Taught::Live => Box::new(live),
            Taught::Cached => {
                let all = (0..case.steps.len()).map(|i| Ok(model.batch(case.steps[i].rows, id(i))));
                Box::new(Cached::record(&live, m, all).unwrap())
            }
        };
        builder = builder.teacher(Told(inner, now.clone()));
    }
    let trainer = builder.build(&model).map_err(failed)?;
    let optimizer = model.optimizer();
    Run { case, now, trainer, optimizer, open: Open::new(case, &model.vs), model: &model }.steps()
}

/// The first sample id of step `i`.
fn id(i: usize) -> i64 {
    IDS * (1 + i as i64)
}

pub(super) fn failed(error: Error) -> TestCaseError {
    TestCaseError::fail(error.to_string())
}

/// The window that is open, as the caller knows it.
pub(super) struct Open {
    pub place: u64,
    /// Who learnt in it so far.
    pub learnt: Vec<bool>,
    /// All variables at its beginning.
    pub before: Snapshot,
    /// Has it a gradient that is not finite?
    steep: bool,
}

impl Open {
    fn new(case: &Case, vs: &nn::VarStore) -> Self {
        Self { place: 0, learnt: vec![false; case.k()], before: values(vs), steep: false }
    }
}

pub(super) struct Run<'a> {
    pub case: &'a Case,
    now: Now,
    trainer: G2dTrainer,
    pub optimizer: nn::Optimizer,
    pub open: Open,
    pub model: &'a Model,
}

impl Run<'_> {
    fn steps(mut self) -> Holds {
        for (i, step) in self.case.steps.iter().enumerate() {
            self.step(i, step)?;
            match step.then {
                Then::Nothing => {}
                Then::FinishWindow => self.finish()?,
                Then::EndEpoch => self.end_epoch()?,
            }
        }
        self.now.replace(None);
        let batches = (0..3).map(|rows| Ok(self.model.batch(1 + rows, 7)));
        let seen = self.trainer.evaluate(self.model, batches).map_err(failed)?;
        prop_assert_eq!(seen.logits.size(), [6, self.case.columns]);
        Ok(())
    }

    /// What is wrong in a step, if its policy looks at it at all.
    fn wrong(&self, step: &Step) -> Option<Wrong> {
        step.wrong.clone().filter(|wrong| match wrong {
            // A gradient that nobody looks at would spoil the weights.
            Wrong::Steep(_) => self.case.skips() || self.case.precision == Precision::Fp16,
            // Features that are distilled are a way to learn.
            Wrong::LogitDetached => {
                self.case.teachers.is_empty() || self.case.distillation.alpha == 0.0
            }
            _ => true,
        })
    }

    fn batch(&self, i: usize, step: &Step, wrong: Option<&Wrong>) -> Batch {
        let batch = self.model.batch(step.rows, id(i));
        let batch = match wrong {
            Some(wrong) => wrong.spoil(batch, self.case),
            None => batch,
        };
        let flags = step.present.iter().enumerate().filter_map(|(m, f)| Some((m, f.clone()?)));
        let own =
            |m: &usize| !matches!(wrong, Some(Wrong::Nobody)) && wrong != Some(&Wrong::Flags(*m));
        flags.filter(|(m, _)| own(m)).fold(batch, |batch, (m, f)| batch.with_present(m, f))
    }

    fn step(&mut self, i: usize, step: &Step) -> Holds {
        let wrong = self.wrong(step);
        let expected = wrong.as_ref().map_or(Expected::Fine, |w| w.expected(self.case, step));
        let batch = self.batch(i, step, wrong.as_ref());
        self.now.replace(wrong);
        if self.open.place == 0 {
            self.optimizer.zero_grad();
            self.open = Open::new(self.case, &self.model.vs);
        }
        let (at, weights, grads) =
            (self.trainer.progress(), values(&self.model.vs), gradients(&self.model.vs));
        match self.trainer.step(self.model, &batch) {
            Ok(report) => {
                prop_assert_eq!(report.at, at);
                let (after, one_more) = (self.trainer.progress(), at.total_steps + 1);
                prop_assert_eq!((after.step, after.total_steps), (at.step + 1, one_more));
                self.describes(step, &report)?;
                self.outcome(&report, &expected)
            }
            Err(error) => {
                prop_assert_eq!(self.trainer.progress(), at);
                same_weights(self.model, &weights)?;
                // Before backward the window stands where it was; after it nothing of it is left.
                let left = gradients(&self.model.vs);
                if !same(&left, &grads) {
                    prop_assert!(left.is_empty(), "gradients after {}", error);
                    self.open.place = 0;
                }
                // The user's part: an error may have moved running statistics.
                restore(self.model, &weights);
                self.error(&error.to_string(), &expected)
            }
        }
    }

    /// Is the error one that was to come?
    fn error(&self, message: &str, expected: &Expected) -> Holds {
        let stops = match self.case.non_finite {
            NonFinite::Error | NonFinite::StopAfter(_) => true,
            NonFinite::Skip => false,
        };
        let gradient = vec!["gradient".to_owned()];
        let words = match expected {
            Expected::Refused(words) | Expected::MayBeRefused(words) => words,
            Expected::NotFinite(words) | Expected::MayBeNotFinite(words) if stops => words,
            Expected::Fine if self.open.steep => &gradient,
            _ => return Err(TestCaseError::fail(format!("{expected:?}, but {message}"))),
        };
        for word in words {
            prop_assert!(message.contains(word), "{:?} is missing in: {}", word, message);
        }
        Ok(())
    }

    /// Is the outcome one that was to come, and are gradients and variables as it says?
    fn outcome(&mut self, report: &StepReport, expected: &Expected) -> Holds {
        let may_be_steep = matches!(expected, Expected::MayBeNotFinite(w) if w[0] == "gradient");
        match &report.outcome {
            StepOutcome::Skipped(why) => {
                match (why, expected) {
                    (SkipCause::Overflow { .. }, _) => {
                        prop_assert_eq!(self.case.precision, Precision::Fp16);
                    }
                    (
                        SkipCause::NonFinite(source),
                        Expected::NotFinite(words) | Expected::MayBeNotFinite(words),
                    ) => {
                        prop_assert!(self.case.skips() || may_be_steep);
                        let source = source.to_string();
                        prop_assert!(source.contains(&words[0]), "{:?}: {}", words, source);
                    }
                    (SkipCause::NonFinite(source), _) => {
                        prop_assert!(self.open.steep, "skipped for nothing: {}", source);
                    }
                }
                self.undone()
            }
            outcome => {
                let fine = !matches!(expected, Expected::Refused(_) | Expected::NotFinite(_));
                prop_assert!(fine, "{:?}, but {:?}", expected, outcome);
                self.open.steep |= may_be_steep;
                self.learnt(report);
                if outcome.is_ready() {
                    self.ready(report)
                } else {
                    prop_assert_eq!(outcome, &StepOutcome::Accumulating);
                    self.open.place += 1;
                    Ok(())
                }
            }
        }
    }

    fn learnt(&mut self, report: &StepReport) {
        for (m, learnt) in self.open.learnt.iter_mut().enumerate() {
            *learnt |= report.plan.kappa()[m] > 0.0;
        }
    }

    /// A step that was skipped has left no trace, whatever the optimizer does then.
    fn undone(&mut self) -> Holds {
        prop_assert!(gradients(&self.model.vs).is_empty());
        self.optimizer.step();
        prop_assert!(same(&values(&self.model.vs), &self.open.before), "a trace of a skipped step");
        self.open.place = 0;
        Ok(())
    }

    fn finish(&mut self) -> Holds {
        let open = self.open.place > 0;
        match self.trainer.finish_window() {
            Ok(None) => prop_assert!(!open),
            Ok(Some(StepOutcome::Ready)) => {
                prop_assert!(open);
                self.optimizer.step();
            }
            Ok(Some(outcome)) => {
                prop_assert!(open && outcome.skipped().is_some());
                self.undone()?;
            }
            Err(error) => {
                prop_assert!(open && self.open.steep, "{}", error);
                prop_assert!(gradients(&self.model.vs).is_empty());
            }
        }
        self.open.place = 0;
        Ok(())
    }

    fn end_epoch(&mut self) -> Holds {
        let at = self.trainer.progress();
        match self.trainer.end_epoch() {
            Ok(report) => {
                prop_assert_eq!((report.epoch, report.steps), (at.epoch, at.step));
                prop_assert_eq!(report.unfinished, self.open.place);
                prop_assert!(report.skipped <= report.steps);
                prop_assert!(report.kappa.iter().all(|kappa| (0.0..=1.0).contains(kappa)));
                let text = serde_json::to_string(&report).unwrap();
                prop_assert!(serde_json::from_str::<g2d::EpochReport>(&text).is_ok());
                if self.open.place > 0 {
                    prop_assert!(gradients(&self.model.vs).is_empty());
                }
                self.open.place = 0;
            }
            Err(error) => {
                let message = error.to_string();
                // ρ that no step looked at.
                let unread = message.contains("confidence ρ") && !self.case.skips();
                prop_assert!(at.step == 0 || unread, "{}", message);
            }
        }
        Ok(())
    }
}

fn same_weights(model: &Model, before: &Snapshot) -> Holds {
    for (name, tensor) in values(&model.vs) {
        let weight = !name.contains("running");
        prop_assert!(!weight || tensor.equal(&before[&name]), "{} moved in a failed step", name);
    }
    Ok(())
}

fn restore(model: &Model, before: &Snapshot) {
    let _no_grad = tch::no_grad_guard();
    model.vs.variables().iter_mut().for_each(|(name, tensor)| tensor.copy_(&before[name]));
}

/// A loss chosen at run time.
struct Boxed(Box<dyn G2dLoss>);

impl G2dLoss for Boxed {
    fn check(&self, modalities: &[Modality]) -> g2d::Result<()> {
        self.0.check(modalities)
    }
    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> g2d::Result<()> {
        self.0.check_targets(logits, targets)
    }
    fn terms(&self, input: &loss::Input<'_>) -> g2d::Result<loss::Terms> {
        self.0.terms(input)
    }
    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> g2d::Result<Tensor> {
        self.0.confidence(logits, targets)
    }
}
