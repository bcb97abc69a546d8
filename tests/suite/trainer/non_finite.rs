//! Steps that are not finite: skipped without a trace, named, and stopped after.

use g2d::{
    Batch, G2dTrainer, StepOutcome, StepReport, TeacherOutput,
    loss::{Classification, Distillation},
    probe::GradientNorm,
    schedule::Sequential,
    step::{NonFiniteSource as Source, SkipCause},
    trainer::{Builder, NonFinite},
};
use tch::{Kind, Tensor};

use crate::support::{
    Bent, BentTeacher, Tiny, WIDTH, assert_number, assert_same, gradients, mismatch, names, values,
};

fn skipping(builder: Builder, student: &Tiny) -> G2dTrainer {
    builder.non_finite(NonFinite::Skip).build(student).unwrap()
}

/// The batch with input `m` spoilt.
fn spoilt(batch: &Batch, m: usize) -> Batch {
    let spoil = |(j, x): (usize, &Tensor)| if j == m { x * f64::NAN } else { x.copy() };
    let inputs: Vec<_> = batch.inputs().iter().enumerate().map(spoil).collect();
    Batch::new(inputs, batch.targets().copy())
}

fn source(report: &StepReport) -> &Source {
    match report.outcome.skipped() {
        Some(SkipCause::NonFinite(source)) => source,
        other => panic!("{other:?}"),
    }
}

/// √ of 0 has an infinite slope: logits stay finite, gradients of `m1` do not.
fn infinite_slope(m: usize, x: Tensor) -> Tensor {
    if m == 1 { &x + (&x * 0.0).abs().sqrt() } else { x }
}

#[test]
fn a_skipped_step_leaves_no_trace() {
    let (ours, theirs) = (Tiny::conv(2), Tiny::conv(2));
    let run = |student: &Tiny, bad: bool| {
        let builder = student.taught(Classification::default()).probe(GradientNorm::default());
        let mut trainer = skipping(builder, student);
        let mut optimizer = student.optimizer();
        for step in 0..3 {
            if bad {
                let before = values(&student.vs);
                let outcomes = [
                    trainer.step(student, &spoilt(&student.batch(4, 9.0), 0)),
                    trainer.step(
                        &Bent::encode(student, infinite_slope),
                        &student.batch(4, f64::from(step)),
                    ),
                ];
                for outcome in outcomes {
                    assert!(outcome.unwrap().outcome.skipped().is_some());
                    assert!(gradients(&student.vs).is_empty());
                    optimizer.step();
                    assert_same(&values(&student.vs), &before);
                }
            }
            let report = trainer.step(student, &student.batch(4, f64::from(step))).unwrap();
            assert!(report.outcome.is_ready());
            optimizer.step();
            optimizer.zero_grad();
        }
        (trainer.end_epoch().unwrap(), values(&student.vs))
    };
    let ((with, ours), (without, theirs)) = (run(&ours, true), run(&theirs, false));
    assert_same(&ours, &theirs);
    assert_eq!((with.steps, with.skipped), (9, 6));
    assert_eq!((without.steps, without.skipped), (3, 0));
    assert_number(with.terms.total, without.terms.total);
    assert_eq!(with.kappa, without.kappa);
    assert_eq!(with.measurements, without.measurements);
}

#[test]
fn the_first_that_is_not_finite_is_named() {
    let student = Tiny::linear(2);
    let [m0, m1] = [names(2)[0].clone(), names(2)[1].clone()];
    let step = |builder: Builder, batch: &Batch| {
        let report = skipping(builder, &student).step(&student, batch).unwrap();
        source(&report).clone()
    };
    let batch = student.batch(4, 0.0);
    let taught = || student.taught(Classification::default());
    assert_eq!(step(taught(), &spoilt(&batch, 1)), Source::Input(m1.clone()));
    assert_eq!(step(taught(), &spoilt(&batch, 0)), Source::Input(m0.clone()));

    let bent = |bend: fn(TeacherOutput) -> TeacherOutput, loss: Distillation| {
        let builder = student.builder(Classification::new(loss));
        let builder = builder.teacher(student.teacher(0, WIDTH).0);
        builder.teacher(BentTeacher(student.teacher(1, WIDTH).0, bend))
    };
    let features: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { features: t.features * f64::NAN, ..t };
    let logits: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { logits: t.logits * f64::NAN, ..t };
    let all = Distillation::default;
    assert_eq!(step(bent(features, all()), &batch), Source::TeacherFeatures(m1.clone()));
    assert_eq!(step(bent(logits, all()), &batch), Source::TeacherLogits(m1.clone()));
    // It only ranks, and the loss is finite.
    assert_eq!(step(bent(logits, Distillation::none()), &batch), Source::TeacherLogits(m1.clone()));
    let ranked = bent(logits, all()).scheduler(Sequential::new([1]));
    assert_eq!(step(ranked, &batch), Source::TeacherLogits(m1.clone()));
    let far: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { features: t.features + 1e200, ..t };
    assert_eq!(step(bent(far, all()), &batch), Source::FeatureTerm(m1.clone()));
    let huge = Distillation { alpha: 1e308, ..all() };
    let far: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { features: t.features + 100.0, ..t };
    assert_eq!(step(bent(far, huge), &batch), Source::Total);

    let bent = |encode| {
        let student = Bent::encode(&student, encode);
        let report = skipping(taught(), student.inner).step(&student, &batch).unwrap();
        source(&report).clone()
    };
    let nan = |m, x| if m == 1 { x * f64::NAN } else { x };
    assert_eq!(bent(nan), Source::Features(m1.clone()));
    let parameter = "m1.a.bias".to_owned();
    assert_eq!(bent(infinite_slope), Source::Gradient { parameter, modality: Some(m1) });
    let fused = Bent::fuse(&student, |logits| logits / 0.0);
    let report = skipping(taught(), &student).step(&fused, &batch).unwrap();
    assert_eq!(source(&report), &Source::Logits);

    let targets = batch.targets().unsqueeze(1).repeat([1, 3]).to_kind(Kind::Double) / 0.0;
    let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
    let builder = student.builder(g2d::loss::Regression::default());
    assert_eq!(step(builder, &Batch::new(inputs, targets)), Source::Targets);
}

/// The whole window goes, running statistics of its first micro-batch too.
#[test]
fn a_bad_micro_batch_undoes_its_window() {
    let student = Tiny::conv(2);
    let builder = student.taught(Classification::default()).accumulate(2);
    let mut trainer = skipping(builder, &student);
    let before = values(&student.vs);
    let good = student.batch(4, 0.0);
    assert_eq!(trainer.step(&student, &good).unwrap().outcome, StepOutcome::Accumulating);
    let report = trainer.step(&student, &spoilt(&good, 0)).unwrap();
    assert!(report.outcome.skipped().is_some());
    assert!(gradients(&student.vs).is_empty());
    assert_same(&values(&student.vs), &before);
    assert!(trainer.step(&student, &good).unwrap().micro_batch.is_first());
    assert!(trainer.step(&student, &good).unwrap().outcome.is_ready());
}

#[test]
fn it_stops_after_so_many_in_a_row() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default());
    let mut trainer = builder.non_finite(NonFinite::StopAfter(2)).build(&student).unwrap();
    let good = student.batch(4, 0.0);
    let bad = spoilt(&good, 1);
    for batch in [&bad, &good, &bad] {
        trainer.step(&student, batch).unwrap();
    }
    let words = ["epoch 0, step 3", "input of modality \"m1\"", "fewer than 2", "in a row"];
    mismatch(trainer.step(&student, &bad), &words);
    assert_eq!(trainer.progress().step, 3);
    let build = |policy| student.builder(Classification::default()).non_finite(policy);
    mismatch(build(NonFinite::StopAfter(0)).build(&student), &["StopAfter", "at least 1"]);
    // 1: an error at the first, gradients looked at too.
    let mut strict = build(NonFinite::StopAfter(1)).build(&student).unwrap();
    let slope = Bent::encode(&student, infinite_slope);
    mismatch(strict.step(&slope, &good), &["gradient of \"m1.a.bias\"", "\"m1\""]);
    assert!(gradients(&student.vs).is_empty());
}
