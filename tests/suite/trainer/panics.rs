//! A panic of a model is an error; a panic in other user code reaches the caller. Gradient mode and
//! autocast are restored, and the trainer continues as if the step had not been made.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use g2d::{
    Batch, Error, Features, G2dLoss, G2dTrainer, ImbalanceProbe, Modality, Result, SmpScheduler,
    Student, Teacher, TeacherOutput,
    batch::Input,
    evaluate,
    loss::{self, Classification, Distillation},
    modulation::Modulate,
    optim::SgdConfig,
    probe::held_out::{LinearProbe, Shapley},
    schedule::{Candidates, Plan, Progress},
    step::{Measurement, Observation},
    teacher::{Cached, FrozenModel},
    trainer::{NonFinite, Precision, UnimodalTrainer, evaluate_teacher},
};
use tch::{Device, Kind, Tensor, nn, nn::Module};

use crate::support::{
    CLASSES, INPUT, Tiny, WIDTH, assert_error, assert_same, gradients, labels, values, wave,
};

/// The method that panics.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    None,
    Scheduler,
    Teacher,
    Encode(usize),
    Fuse,
    Distilled,
    Head,
    Loss,
    Confidence,
    Terms,
    Modulation,
    Probe,
}

impl Place {
    /// The part that the error of a panic names; `None` for a method that is not of a model.
    fn part(self) -> Option<&'static str> {
        match self {
            Self::Teacher => {
                Some("teacher \"m0\" panicked with the inputs \"values\" [4, 5] Float: a p")
            }
            Self::Encode(0) => {
                Some("encoder of modality \"m0\" panicked with the inputs \"values\" [4, 5]")
            }
            Self::Encode(_) => Some("encoder of modality \"m1\""),
            Self::Fuse => Some("fusion panicked with the inputs \"m0\" [4, 4] "),
            Self::Distilled => Some("distilled features panicked with the inputs \"m0\" [4, 4]"),
            Self::Head => {
                Some("unimodal logits of modality \"m0\" panicked with the inputs \"m0\" [4, 4]")
            }
            _ => None,
        }
    }

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
        if self.1.get() != place {
            return &self.0;
        }
        match place.part() {
            Some(_) => tch::no_grad(|| panic!("a panic of the test")), // leaves gradients disabled
            None => panic!("a panic of the test"),
        }
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
    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        self.at(Place::Fuse).fuse(features, train)
    }
    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        self.at(Place::Distilled).distilled_features(features)
    }
    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        self.at(Place::Head).unimodal_logits(m, features)
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
    fn needs_unimodal_logits(&self) -> bool {
        self.0.needs_unimodal_logits()
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

const PLACES: [Place; 12] = [
    Place::Scheduler,
    Place::Teacher,
    Place::Encode(0),
    Place::Encode(1),
    Place::Fuse,
    Place::Distilled,
    Place::Head,
    Place::Loss,
    Place::Confidence,
    Place::Terms,
    Place::Modulation,
    Place::Probe,
];

fn trainer(student: &Tiny, next: &NextPanic, window: u64) -> G2dTrainer {
    let builder =
        student.builder(Panics(Classification::new(Distillation::balanced()), next.clone()));
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

/// Asserts that `action` panics, or is an error where a model panics, and that gradients are enabled and
/// autocast is off afterwards.
#[track_caller]
fn assert_panics<T>(place: Place, next: &NextPanic, action: impl FnOnce() -> Result<T>) {
    next.set(place);
    let outcome = catch_unwind(AssertUnwindSafe(|| action().map(drop)));
    match (place.part(), outcome) {
        (None, Err(_)) => {}
        (Some(part), Ok(Err(error))) => {
            let text = error.to_string();
            assert!(
                matches!(error, Error::Panic { .. }) && text.contains(part),
                "{place:?}: {text}"
            );
        }
        (_, outcome) => panic!("{place:?}: {outcome:?}"),
    }
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
    for place in [Place::Encode(0), Place::Encode(1), Place::Fuse, Place::Head] {
        let student = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
        let next = NextPanic::new(Cell::new(Place::None));
        let trainer = trainer(&student, &next, 1);
        let user = Panics(&student, next.clone());
        let batches = || [Ok(student.batch(4, 0.0))];
        assert_panics(place, &next, || trainer.evaluate(&user, batches())); // in bf16
        assert_panics(place, &next, || evaluate(&user, batches()));
    }
}

/// A model of modality `a` whose head takes wider features than its encoder returns.
fn mismatched(vs: &nn::VarStore) -> impl Fn(&Input, bool) -> (Tensor, Tensor) + Send + use<> {
    let linear = |name, from, to| nn::linear(vs.root() / name, from, to, Default::default());
    let (encoder, head) = (linear("encoder", INPUT, WIDTH), linear("head", WIDTH + 2, CLASSES));
    move |input, _train| {
        let features = encoder.forward(input);
        let logits = head.forward(&features);
        (features, logits)
    }
}

#[test]
fn a_layer_that_refuses_its_input_is_an_error_of_a_teacher_wherever_it_runs() {
    let batch = || {
        let input = wave(0.0, &[4, INPUT]).to_kind(Kind::Float);
        Ok(Batch::new([input], labels(4)).with_ids([1, 2, 3, 4]))
    };
    let mut vs = nn::VarStore::new(Device::Cpu);
    let model = mismatched(&vs);
    let cause = "\"values\" [4, 5] Float: mat1 and mat2 shapes cannot be multiplied (4x4 and 6x3)";
    let sgd = SgdConfig::default();
    let trainer = UnimodalTrainer::new("a", 0, Classification::default(), sgd).epochs(1);
    let trained = trainer.train(&model, &vs, |_| [batch()], || [batch()]);
    assert_error(trained, &["model of \"a\" panicked", cause]);

    let teacher = FrozenModel::new("a", &mut vs, model);
    let words = ["teacher \"a\" panicked", cause];
    let error = assert_error(evaluate_teacher(&teacher, 0, [batch()]), &words);
    assert!(error.to_string().ends_with(cause), "the message has no C++ backtrace: {error}");
    assert_error(Cached::record(&teacher, 0, [batch()]), &words);
}

#[test]
fn a_panic_in_a_held_out_measure_is_an_error() {
    for place in [Place::Encode(1), Place::Fuse] {
        let student = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
        let next = NextPanic::new(Cell::new(Place::None));
        let user = Panics(&student, next.clone());
        let batches = [student.batch(4, 0.0)];
        assert_panics(place, &next, || Shapley::default().measure(&user, &batches));
        if place != Place::Fuse {
            let probe = LinearProbe::default();
            assert_panics(place, &next, || probe.measure(&user, &batches, &batches));
        }
    }
}
