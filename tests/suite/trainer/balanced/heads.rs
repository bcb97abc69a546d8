//! Unimodal logits in a step: computed once, checked, in the dtype of the precision.

use std::cell::Cell;

use g2d::{
    Batch, Features, G2dTrainer, Modality, Result, Student,
    loss::{Classification, Distillation, EnsembleTerm},
    probe::{HeadAccuracy, StudentConfidence},
    step::{NonFiniteSource, SkipCause},
    trainer::{NonFinite, Precision, SuppressedMode, Suppression},
};
use tch::{Kind, Tensor};

use super::all_terms;
use crate::support::{
    FixedKappa, LateFusion, ModifiedStudent, Tiny, WIDTH, assert_config_error, assert_mismatch,
    assert_same, gradients, values,
};

#[test]
fn a_student_without_valid_unimodal_logits_is_an_error_before_backward() {
    let student = Tiny::linear(2);
    let before = values(&student.vs);
    let step = |modified: &dyn Student| {
        let loss = Classification::new(Distillation::balanced());
        let mut trainer = student.builder_with_teachers(loss).build(&student).unwrap();
        let outcome = trainer.step(modified, &student.batch(4, 0.0));
        assert_eq!(trainer.progress().total_steps, 0);
        outcome
    };
    let none = ModifiedStudent::without_optional_methods(&student);
    let words = ["unimodal logits of modality \"m0\"", "returns None", "WithHeads"];
    assert_config_error(step(&none), &words);
    let with = |logits| ModifiedStudent::with_unimodal_logits(&student, logits);
    let narrow = with(|f| f[0].narrow(1, 0, 2));
    let words = ["unimodal logits of modality \"m0\"", "[4, 3]", "[4, 2]"];
    assert_mismatch(step(&narrow), &words);
    let short = with(|f| f[0].narrow(1, 0, 3).narrow(0, 0, 1));
    assert_mismatch(step(&short), &["unimodal logits", "[4, C]", "[1, 3]"]);
    let integers = with(|f| f[0].narrow(1, 0, 3).to_kind(Kind::Int64));
    assert_mismatch(step(&integers), &["unimodal logits", "floating-point", "Int64"]);
    let undefined = with(|_| Tensor::new());
    assert_mismatch(step(&undefined), &["unimodal logits", "[4, C]"]);
    let single = with(|f| f[0].narrow(1, 0, 3).to_kind(Kind::Float));
    assert_mismatch(step(&single), &["unimodal logits of student and teacher", "Float"]);
    assert!(gradients(&student.vs).is_empty());
    assert_same(&values(&student.vs), &before);
}

#[test]
fn a_head_term_that_is_not_finite_is_named() {
    let student = Tiny::linear(2);
    let step = |distillation, policy, modified: &dyn Student| {
        let builder = student.builder_with_teachers(Classification::new(distillation));
        let mut trainer = builder.non_finite(policy).build(&student).unwrap();
        trainer.step(modified, &student.batch(4, 0.0))
    };
    let nan = ModifiedStudent::with_unimodal_logits(&student, |f| f[0].narrow(1, 0, 3) * f64::NAN);
    let words = ["epoch 0, step 0", "head term of \"m0\""];
    assert_mismatch(step(Distillation::balanced(), NonFinite::Error, &nan), &words);
    let report = step(Distillation::balanced(), NonFinite::Skip, &nan).unwrap();
    let source = SkipCause::NonFinite(NonFiniteSource::HeadTerm("m0".into()));
    assert_eq!(report.outcome.skipped(), Some(&source));
    // Finite logits, and a calibrated ensemble that overflows.
    let ensemble = EnsembleTerm { teacher_temperature: 1e-308.into(), ..EnsembleTerm::default() };
    let distillation = Distillation { ensemble: Some(ensemble), ..Distillation::none() };
    let report = step(distillation, NonFinite::Skip, &student).unwrap();
    let source = SkipCause::NonFinite(NonFiniteSource::EnsembleTerm);
    assert_eq!(report.outcome.skipped(), Some(&source));
}

/// Another student that counts the calls of `unimodal_logits`.
struct Counting<'a>(&'a Tiny, Cell<u64>);

impl Student for Counting<'_> {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }
    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.0.encode(m, batch, train)
    }
    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        self.0.fuse(features, train)
    }
    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        self.1.set(self.1.get() + 1);
        self.0.unimodal_logits(m, features)
    }
}

#[test]
fn unimodal_logits_are_computed_once_for_the_loss_and_all_probes() {
    let student = Tiny::linear(2);
    let run = |distillation: Distillation| {
        let counting = Counting(&student, Cell::new(0));
        let builder = student.builder_with_teachers(Classification::new(distillation));
        let builder = builder.probe(HeadAccuracy::default()).probe(StudentConfidence::default());
        let mut trainer = builder.build(&counting).unwrap();
        trainer.step(&counting, &student.batch(6, 0.0)).unwrap();
        (counting.1.get(), trainer.end_epoch().unwrap().measurements)
    };
    let ((balanced, with), (plain, without)) =
        (run(Distillation::balanced()), run(Distillation::none()));
    assert_eq!((balanced, plain), (2, 2));
    assert_eq!(with, without, "the probes measure the same");
    let counting = Counting(&student, Cell::new(0));
    let mut trainer = student.builder(Classification::default()).build(&counting).unwrap();
    trainer.step(&counting, &student.batch(6, 0.0)).unwrap();
    assert_eq!(counting.1.get(), 0, "not computed where nothing needs them");
}

#[test]
fn sixteen_bits_compute_heads_under_autocast_and_their_terms_in_float() {
    let student = LateFusion::new(&[0.7, 0.3], Kind::Float);
    let tiny = Tiny::with_widths(&[WIDTH; 2], Kind::Float);
    let run = |precision| {
        student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
        let loss = Classification::new(all_terms());
        let builder = G2dTrainer::builder(loss).encoders(student.params()).precision(precision);
        let builder = builder.teacher(tiny.teacher(0, WIDTH).0).teacher(tiny.teacher(1, WIDTH).0);
        let builder = builder.suppression(Suppression::FusedLoss);
        let mut trainer = builder.scheduler(FixedKappa(vec![0.3, 0.0])).build(&student).unwrap();
        let report = trainer.step(&student, &tiny.batch(16, 0.0)).unwrap();
        let terms = report.terms.head.iter().chain([&report.terms.ensemble]).flatten();
        assert_eq!(terms.map(Tensor::kind).collect::<Vec<_>>(), [Kind::Float; 3]);
        (report.read().unwrap(), gradients(&student.vs))
    };
    let (full, expected) = run(Precision::Full);
    for precision in [Precision::Bf16, Precision::Fp16] {
        let (report, found) = run(precision);
        let head = report.terms.head[1].unwrap();
        approx::assert_relative_eq!(head, full.terms.head[1].unwrap(), max_relative = 0.02);
        assert!(head != full.terms.head[1].unwrap(), "{precision:?}: computed in Float");
        assert!(found.keys().eq(expected.keys()));
        for (name, gradient) in &expected {
            let error = (gradient - &found[name]).norm() / gradient.norm();
            assert!(error.double_value(&[]) < 0.05, "{precision:?}: {name} {error:?}");
        }
    }
}

#[test]
fn a_suppressed_mode_with_kappa_on_the_fused_loss_is_an_error() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).suppression(Suppression::FusedLoss);
    let built = builder.suppressed_mode(SuppressedMode::Evaluation).build(&student);
    assert_config_error(built, &["suppressed mode", "FusedLoss", "SkipBackward"]);
}
