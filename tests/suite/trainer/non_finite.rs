//! Steps with values that are not finite, under the policies of `NonFinite`.

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
    ModifiedStudent, ModifiedTeacher, Tiny, WIDTH, assert_mismatch, assert_number, assert_same,
    gradients, names, values, with_nan_input, with_targets,
};

fn skipping(builder: Builder, student: &Tiny) -> G2dTrainer {
    builder.non_finite(NonFinite::Skip).build(student).unwrap()
}

fn source(report: &StepReport) -> &Source {
    match report.outcome.skipped() {
        Some(SkipCause::NonFinite(source)) => source,
        other => panic!("{other:?}"),
    }
}

/// Adds √|0 x|, whose gradient is infinite, to the features of m1; the logits stay finite.
fn infinite_slope(m: usize, x: Tensor) -> Tensor {
    if m == 1 { &x + (&x * 0.0).abs().sqrt() } else { x }
}

#[test]
fn a_skipped_step_changes_no_variable_gradient_or_mean() {
    let (ours, theirs) = (Tiny::conv(2), Tiny::conv(2));
    let run = |student: &Tiny, with_skipped: bool| {
        let builder =
            student.builder_with_teachers(Classification::default()).probe(GradientNorm::default());
        let mut trainer = skipping(builder, student);
        let mut optimizer = student.optimizer();
        for step in 0..3 {
            if with_skipped {
                let before = values(&student.vs);
                let outcomes = [
                    trainer.step(student, &with_nan_input(&student.batch(4, 9.0), 0)),
                    trainer.step(
                        &ModifiedStudent::with_features(student, infinite_slope),
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
fn a_skipped_step_names_the_first_value_that_is_not_finite() {
    let student = Tiny::linear(2);
    let [m0, m1] = [names(2)[0].clone(), names(2)[1].clone()];
    let step = |builder: Builder, batch: &Batch| {
        let report = skipping(builder, &student).step(&student, batch).unwrap();
        source(&report).clone()
    };
    let batch = student.batch(4, 0.0);
    let builder = || student.builder_with_teachers(Classification::default());
    assert_eq!(step(builder(), &with_nan_input(&batch, 1)), Source::Input(m1.clone()));
    assert_eq!(step(builder(), &with_nan_input(&batch, 0)), Source::Input(m0.clone()));

    let with_teacher = |modify: fn(TeacherOutput) -> TeacherOutput, loss: Distillation| {
        let builder = student.builder(Classification::new(loss));
        let builder = builder.teacher(student.teacher(0, WIDTH).0);
        builder.teacher(ModifiedTeacher(student.teacher(1, WIDTH).0, modify))
    };
    let features: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { features: t.features * f64::NAN, ..t };
    let logits: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { logits: t.logits * f64::NAN, ..t };
    let all = Distillation::default;
    assert_eq!(step(with_teacher(features, all()), &batch), Source::TeacherFeatures(m1.clone()));
    assert_eq!(step(with_teacher(logits, all()), &batch), Source::TeacherLogits(m1.clone()));
    // The logits enter ρ alone; the loss is finite.
    let ranking_only = with_teacher(logits, Distillation::none());
    assert_eq!(step(ranking_only, &batch), Source::TeacherLogits(m1.clone()));
    let ranked = with_teacher(logits, all()).scheduler(Sequential::new([1]));
    assert_eq!(step(ranked, &batch), Source::TeacherLogits(m1.clone()));
    let far: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { features: t.features + 1e200, ..t };
    assert_eq!(step(with_teacher(far, all()), &batch), Source::FeatureTerm(m1.clone()));
    let huge = Distillation { alpha: 1e308, ..all() };
    let far: fn(TeacherOutput) -> TeacherOutput =
        |t| TeacherOutput { features: t.features + 100.0, ..t };
    assert_eq!(step(with_teacher(far, huge), &batch), Source::Total);

    let step_with_features = |modify| {
        let modified = ModifiedStudent::with_features(&student, modify);
        let report = skipping(builder(), &student).step(&modified, &batch).unwrap();
        source(&report).clone()
    };
    let nan = |m, x| if m == 1 { x * f64::NAN } else { x };
    assert_eq!(step_with_features(nan), Source::Features(m1.clone()));
    let gradient = Source::Gradient { parameter: "m1.a.bias".to_owned(), modality: Some(m1) };
    assert_eq!(step_with_features(infinite_slope), gradient);
    let fused = ModifiedStudent::with_logits(&student, |logits| logits / 0.0);
    let report = skipping(builder(), &student).step(&fused, &batch).unwrap();
    assert_eq!(source(&report), &Source::Logits);

    let targets = batch.targets().unsqueeze(1).repeat([1, 3]).to_kind(Kind::Double) / 0.0;
    let builder = student.builder(g2d::loss::Regression::default());
    assert_eq!(step(builder, &with_targets(&batch, targets)), Source::Targets);
}

/// Including the running statistics of the first micro-batch.
#[test]
fn a_skipped_micro_batch_undoes_its_whole_window() {
    let student = Tiny::conv(2);
    let builder = student.builder_with_teachers(Classification::default()).accumulate(2);
    let mut trainer = skipping(builder, &student);
    let before = values(&student.vs);
    let finite = student.batch(4, 0.0);
    assert_eq!(trainer.step(&student, &finite).unwrap().outcome, StepOutcome::Accumulating);
    let report = trainer.step(&student, &with_nan_input(&finite, 0)).unwrap();
    assert!(report.outcome.skipped().is_some());
    assert!(gradients(&student.vs).is_empty());
    assert_same(&values(&student.vs), &before);
    assert!(trainer.step(&student, &finite).unwrap().micro_batch.is_first());
    assert!(trainer.step(&student, &finite).unwrap().outcome.is_ready());
}

#[test]
fn stop_after_is_an_error_at_so_many_skipped_steps_in_a_row() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default());
    let mut trainer = builder.non_finite(NonFinite::StopAfter(2)).build(&student).unwrap();
    let finite = student.batch(4, 0.0);
    let nan = with_nan_input(&finite, 1);
    for batch in [&nan, &finite, &nan] {
        trainer.step(&student, batch).unwrap();
    }
    let words = ["epoch 0, step 3", "input of modality \"m1\"", "fewer than 2", "in a row"];
    assert_mismatch(trainer.step(&student, &nan), &words);
    assert_eq!(trainer.progress().step, 3);
    let build = |policy| student.builder(Classification::default()).non_finite(policy);
    assert_mismatch(build(NonFinite::StopAfter(0)).build(&student), &["StopAfter", "at least 1"]);
    // An error at the first such step; gradients are checked too.
    let mut strict = build(NonFinite::StopAfter(1)).build(&student).unwrap();
    let slope = ModifiedStudent::with_features(&student, infinite_slope);
    assert_mismatch(strict.step(&slope, &finite), &["gradient of \"m1.a.bias\"", "\"m1\""]);
    assert!(gradients(&student.vs).is_empty());
}
