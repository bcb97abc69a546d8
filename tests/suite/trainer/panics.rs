//! Whatever unwinds in a user's part reaches the caller with all modes as before, and the trainer goes
//! on as if the step had not been.

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

/// Where the next panic is to come from.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    Nowhere,
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
    /// Is it where the gradients are made already?
    fn after_backward(self) -> bool {
        matches!(self, Self::Modulation | Self::Probe)
    }
}

type Fuse = Rc<Cell<Place>>;

/// A part that panics at its place.
struct Panics<T>(T, Fuse);

impl<T> Panics<T> {
    fn here(&self, place: Place) -> &T {
        assert_ne!(self.1.get(), place, "as told");
        &self.0
    }
}

impl Student for Panics<&Tiny> {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let features = self.0.encode(m, batch, train);
        self.here(Place::Encode(m));
        features
    }
    fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor> {
        self.here(Place::Fuse).fuse(features, train)
    }
    fn distilled_features(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        self.here(Place::Distilled).distilled_features(features)
    }
}

impl<T: Teacher> Teacher for Panics<T> {
    fn modality(&self) -> &Modality {
        self.0.modality()
    }
    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        self.here(Place::Teacher).output(m, batch)
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
        self.here(Place::Loss).terms(input)
    }
    fn confidence(&self, logits: &Tensor, targets: &Tensor) -> Result<Tensor> {
        self.here(Place::Confidence).confidence(logits, targets)
    }
}

impl SmpScheduler for Panics<Plan> {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }
    fn plan(&mut self, _at: Progress, _candidates: &Candidates) -> Result<Plan> {
        Ok(self.here(Place::Scheduler).clone())
    }
}

impl Modulate for Panics<()> {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }
    fn modulate(&mut self, _seen: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        self.here(Place::Modulation);
        Ok(None)
    }
}

impl ImbalanceProbe for Panics<()> {
    fn observe_terms(&mut self, _seen: &Observation<'_>) -> Result<()> {
        self.here(Place::Terms);
        Ok(())
    }
    fn observe(&mut self, _seen: &Observation<'_>) -> Result<()> {
        self.here(Place::Probe);
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

fn trainer(student: &Tiny, fuse: &Fuse, window: u64) -> G2dTrainer {
    let builder = student.builder(Panics(Classification::default(), fuse.clone()));
    let builder = (0..2).fold(builder, |builder, m| {
        builder.teacher(Panics(student.teacher(m, WIDTH).0, fuse.clone()))
    });
    let plan = Plan::new(vec![0.0, 1.0]).unwrap();
    let builder = builder.scheduler(Panics(plan, fuse.clone())).probe(Panics((), fuse.clone()));
    let builder = builder.precision(Precision::Bf16).non_finite(NonFinite::Skip);
    // A modulation beside accumulation is refused.
    let builder = if window == 1 { builder.modulation(Panics((), fuse.clone())) } else { builder };
    builder.accumulate(window).build(student).unwrap()
}

/// Asserts that gradients are on and autocast is off.
#[track_caller]
fn assert_modes(place: Place) {
    let x = wave(0.0, &[2, 2]).to_kind(Kind::Float).set_requires_grad(true);
    let y = x.matmul(&x);
    assert!(y.requires_grad(), "{place:?}: gradients stayed off");
    assert_eq!(y.kind(), Kind::Float, "{place:?}: autocast stayed on");
}

#[test]
fn a_panic_leaves_no_trace_in_modes_or_totals() {
    for place in PLACES {
        let run = |panics: bool| {
            let student = Tiny::of_widths(&[WIDTH; 2], Kind::Float);
            let fuse = Fuse::new(Cell::new(Place::Nowhere));
            let mut trainer = trainer(&student, &fuse, 1);
            let user = Panics(&student, fuse.clone());
            let mut optimizer = student.optimizer();
            for step in 0..3 {
                let batch = student.batch(4, f64::from(step));
                optimizer.zero_grad();
                if panics {
                    fuse.set(place);
                    let step = || trainer.step(&user, &batch).map(drop);
                    assert!(catch_unwind(AssertUnwindSafe(step)).is_err(), "{place:?}");
                    fuse.set(Place::Nowhere);
                    assert_modes(place);
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

/// Before backward the window stays where it was; after it (a probe) the window begins anew.
#[test]
fn a_panic_within_a_window() {
    for place in PLACES.into_iter().filter(|place| *place != Place::Modulation) {
        let student = Tiny::of_widths(&[WIDTH; 2], Kind::Float);
        let fuse = Fuse::new(Cell::new(Place::Nowhere));
        let mut trainer = trainer(&student, &fuse, 2);
        let user = Panics(&student, fuse.clone());
        let batch = student.batch(4, 0.0);
        trainer.step(&user, &batch).unwrap();
        fuse.set(place);
        let step = || trainer.step(&user, &batch).map(drop);
        assert!(catch_unwind(AssertUnwindSafe(step)).is_err(), "{place:?}");
        fuse.set(Place::Nowhere);
        let next = trainer.step(&user, &batch).unwrap();
        assert_eq!(next.micro_batch.is_first(), place == Place::Probe, "{place:?}");
    }
}

#[test]
fn a_panic_in_evaluation_leaves_modes_as_they_were() {
    for place in [Place::Encode(0), Place::Encode(1), Place::Fuse] {
        let student = Tiny::of_widths(&[WIDTH; 2], Kind::Float);
        let fuse = Fuse::new(Cell::new(place));
        let trainer = trainer(&student, &fuse, 1);
        let user = Panics(&student, fuse.clone());
        let batches = || [Ok(student.batch(4, 0.0))];
        let in_bf16 = || trainer.evaluate(&user, batches()).map(drop);
        assert!(catch_unwind(AssertUnwindSafe(in_bf16)).is_err(), "{place:?}");
        assert_modes(place);
        let plain = || evaluate(&user, batches()).map(drop);
        assert!(catch_unwind(AssertUnwindSafe(plain)).is_err(), "{place:?}");
        assert_modes(place);
    }
}
