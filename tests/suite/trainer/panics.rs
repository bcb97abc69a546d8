//! A panic in user code reaches the caller; gradient mode and autocast are restored, and the
//! trainer continues as if the step had not been made.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use g2d::{
    Batch, G2dLoss, G2dTrainer, ImbalanceProbe, Modality, Result, SmpScheduler, Student, Teacher,
    TeacherOutput, evaluate,
    loss::{self, Classification},
    modulation::Modulate,
    schedule::{Candidates, Plan, Progress},
    step::{Measurement, Observation},
    trainer::{NonFinite, Precision},
};
use tch::{Kind, Tensor};

use crate::support::{Tiny, WIDTH, assert_same, gradients, values, wave};

/// The method that panics.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    None,
    Scheduler,
    Teacher,
    Encode(usize),
    Fuse,
    Distilled,
    Loss,
    Confidence,
    Terms,
    Modulation,
    Probe,
}

impl Place {
    /// Returns whether the method runs after backward.
    fn after_backward(self) -> bool {
        matches!(self, Self::Modulation | Self::Probe)
    }
}

/// The place of the next panic.
type NextPanic = Rc<Cell<Place>>;

/// A part that panics in the method of [`NextPanic`].
struct Panics<T>(T, NextPanic);

impl<T> Panics<T> {
    /// The inner part; panics if `place` is that of the next panic.
    fn at(&self, place: Place) -> &T {
        assert_ne!(self.1.get(), place, "a panic of the test");
        &self.0
    }
}

impl Student for Panics<&Tiny> {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let features = self.0.encode(m, batch, train);
        self.at(Place::Encode(m));
        features
    }
    fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor> {
        self.at(Place::Fuse).fuse(features, train)
    }
    fn distilled_features(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        self.at(Place::Distilled).distilled_features(features)
    }
}

impl<T: Teacher> Teacher for Panics<T> {
    fn modality(&self) -> &Modality {
        self.0.modality()
    }
    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        self.at(Place::Teacher).output(m, batch)
    }
}

impl G2dLoss for Panics<Classification> {
    fn check(&self, modalities: &[Modality]) -> Result<()> {
        self.0.check(modalities)
    }
    fn check_targets(&self, logits: &[i64], targets: &Tensor) -> Result<()> {
        self.0.check_targets(logits, targets)
    }
    fn terms(&self, input: &loss::Input<'_>) -> Result<loss::Terms> {
        self.at(Place::Loss).terms(input)
    }
    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.at(Place::Confidence).confidence(logits, targets)
    }
}

impl SmpScheduler for Panics<Plan> {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }
    fn plan(&mut self, _at: Progress, _candidates: &Candidates) -> Result<Plan> {
        Ok(self.at(Place::Scheduler).clone())
    }
}

impl Modulate for Panics<()> {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }
    fn modulate(&mut self, _seen: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        self.at(Place::Modulation);
        Ok(None)
    }
}

impl ImbalanceProbe for Panics<()> {
    fn observe_terms(&mut self, _seen: &Observation<'_>) -> Result<()> {
        self.at(Place::Terms);
        Ok(())
    }
    fn observe(&mut self, _seen: &Observation<'_>) -> Result<()> {
        self.at(Place::Probe);
        Ok(())
    }
    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        Ok(vec![])
    }
}

const PLACES: [Place; 11] = [
    Place::Scheduler,
    Place::Teacher,
    Place::Encode(0),
    Place::Encode(1),
    Place::Fuse,
    Place::Distilled,
    Place::Loss,
    Place::Confidence,
    Place::Terms,
    Place::Modulation,
    Place::Probe,
];

fn trainer(student: &Tiny, next: &NextPanic, window: u64) -> G2dTrainer {
    let builder = student.builder(Panics(Classification::default(), next.clone()));
    let builder = (0..2).fold(builder, |builder, m| {
        builder.teacher(Panics(student.teacher(m, WIDTH).0, next.clone()))
    });
    let plan = Plan::new(vec![0.0, 1.0]).unwrap();
    let builder = builder.scheduler(Panics(plan, next.clone())).probe(Panics((), next.clone()));
    let builder = builder.precision(Precision::Bf16).non_finite(NonFinite::Skip);
    // A modulation with accumulation is an error.
    let builder = if window == 1 { builder.modulation(Panics((), next.clone())) } else { builder };
    builder.accumulate(window).build(student).unwrap()
}

/// Asserts that `action` panics, and that gradients are enabled and autocast is off afterwards.
#[track_caller]
fn assert_panics<T>(place: Place, next: &NextPanic, action: impl FnOnce() -> Result<T>) {
    next.set(place);
    let action = || action().map(drop);
    assert!(catch_unwind(AssertUnwindSafe(action)).is_err(), "{place:?}");
    next.set(Place::None);
    let x = wave(0.0, &[2, 2]).to_kind(Kind::Float).set_requires_grad(true);
    let y = x.matmul(&x);
    assert!(y.requires_grad(), "{place:?}: gradients are disabled");
    assert_eq!(y.kind(), Kind::Float, "{place:?}: autocast is on");
}

#[test]
fn a_panic_in_a_step_restores_modes_and_changes_neither_totals_nor_progress() {
    for place in PLACES {
        let run = |panics: bool| {
            let student = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
            let next = NextPanic::new(Cell::new(Place::None));
            let mut trainer = trainer(&student, &next, 1);
            let user = Panics(&student, next.clone());
            let mut optimizer = student.optimizer();
            for step in 0..3 {
                let batch = student.batch(4, f64::from(step));
                optimizer.zero_grad();
                if panics {
                    assert_panics(place, &next, || trainer.step(&user, &batch));
                    assert_eq!(gradients(&student.vs).is_empty(), !place.after_backward());
                }
                optimizer.zero_grad();
                trainer.step(&user, &batch).unwrap();
                optimizer.step();
            }
            (trainer.progress(), trainer.end_epoch().unwrap(), values(&student.vs))
        };
        let (with, without) = (run(true), run(false));
        assert_eq!((with.0, with.1), (without.0, without.1), "{place:?}");
        assert_same(&with.2, &without.2);
    }
}

#[test]
fn a_panic_before_backward_leaves_the_window_open_and_a_later_one_discards_it() {
    for place in PLACES.into_iter().filter(|place| *place != Place::Modulation) {
        let student = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
        let next = NextPanic::new(Cell::new(Place::None));
        let mut trainer = trainer(&student, &next, 2);
        let user = Panics(&student, next.clone());
        let batch = student.batch(4, 0.0);
        trainer.step(&user, &batch).unwrap();
        assert_panics(place, &next, || trainer.step(&user, &batch));
        let report = trainer.step(&user, &batch).unwrap();
        assert_eq!(report.micro_batch.is_first(), place.after_backward(), "{place:?}");
    }
}

#[test]
fn a_panic_in_an_evaluation_restores_modes() {
    for place in [Place::Encode(0), Place::Encode(1), Place::Fuse] {
        let student = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
        let next = NextPanic::new(Cell::new(Place::None));
        let trainer = trainer(&student, &next, 1);
        let user = Panics(&student, next.clone());
        let batches = || [Ok(student.batch(4, 0.0))];
        assert_panics(place, &next, || trainer.evaluate(&user, batches())); // in bf16
        assert_panics(place, &next, || evaluate(&user, batches()));
    }
}
