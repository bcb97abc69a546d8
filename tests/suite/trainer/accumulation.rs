//! Accumulation windows: several micro-batches for one optimizer step.

use g2d::{
    Batch, Modality, Result, StepOutcome,
    loss::{Classification, Distillation},
    modulation::Modulate,
    probe::{GradientCosine, GradientNorm, TeacherCka, UpdateRatio},
    step::Observation,
    trainer::{GradientScope, Suppression},
};

use crate::support::{
    FixedKappa, KappaPerStep, ModifiedStudent, Tiny, assert_close, assert_mismatch, assert_number,
    assert_same, gradients, select_rows, values, with_prefix,
};

/// Micro-batch number `i` of four rows.
fn micro_batch(batch: &Batch, i: i64) -> Batch {
    select_rows(batch, &[4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 3])
}

#[test]
fn the_gradients_of_a_window_equal_those_of_one_large_batch() {
    let (ours, theirs) = (Tiny::linear(3), Tiny::linear(3));
    let whole = ours.batch(12, 0.0);
    let mut large = theirs.builder_with_teachers(Classification::default()).build(&theirs).unwrap();
    let expected = large.step(&theirs, &whole).unwrap();
    assert_eq!(expected.outcome, StepOutcome::Ready);

    let mut trainer =
        ours.builder_with_teachers(Classification::default()).accumulate(3).build(&ours).unwrap();
    let mut total = 0.0;
    for i in 0..3 {
        let report = trainer.step(&ours, &micro_batch(&whole, i)).unwrap();
        assert_eq!((report.micro_batch.index, report.micro_batch.count), (i as u64, 3));
        assert_eq!(report.outcome.is_ready(), i == 2);
        assert_eq!(report.outcome == StepOutcome::Accumulating, i < 2);
        total += report.read().unwrap().terms.total / 3.0;
    }
    assert_number(total, expected.read().unwrap().terms.total);
    let (found, expected) = (gradients(&ours.vs), gradients(&theirs.vs));
    assert!(found.keys().eq(expected.keys()));
    found.iter().for_each(|(name, gradient)| assert_close(gradient, &expected[name]));
    // The next step opens a window.
    assert!(trainer.step(&ours, &micro_batch(&whole, 0)).unwrap().micro_batch.is_first());
}

/// Σ κ_i g_i / n, where g_i is the gradient of micro-batch i alone. A stale gradient of an encoder
/// that the first micro-batch suppresses is not part of the sum.
#[test]
fn a_suppressed_encoder_keeps_the_gradients_of_earlier_micro_batches() {
    let plans = [[0.0, 1.0], [1.0, 0.0], [0.5, 1.0], [0.0, 0.0]];
    let student = Tiny::linear(2);
    let trainer = |kappa: &[f64], n| {
        let builder = student.builder_with_teachers(Classification::default()).accumulate(n);
        builder.scheduler(FixedKappa(kappa.to_vec())).build(&student).unwrap()
    };
    let single: Vec<_> = (0..plans.len())
        .map(|i| {
            student.optimizer().zero_grad();
            let batch = student.batch(4, i as f64);
            trainer(&plans[i], 1).step(&student, &batch).unwrap();
            gradients(&student.vs)
        })
        .collect();

    student.optimizer().zero_grad();
    trainer(&[1.0, 1.0], 1).step(&student, &student.batch(4, 9.0)).unwrap();
    let stale = with_prefix(&gradients(&student.vs), "m0");
    for (name, tensor) in student.vs.variables() {
        if !name.starts_with("m0") {
            let _ = tensor.grad().zero_();
        }
    }
    assert!(!stale.is_empty());
    let schedule = KappaPerStep(plans.iter().map(|plan| plan.to_vec()).collect());
    let builder = student.builder_with_teachers(Classification::default()).accumulate(4);
    let mut accumulating = builder.scheduler(schedule).build(&student).unwrap();
    for i in 0..plans.len() {
        accumulating.step(&student, &student.batch(4, i as f64)).unwrap();
        assert_eq!(with_prefix(&gradients(&student.vs), "m0").is_empty(), i == 0);
    }
    for (name, gradient) in gradients(&student.vs) {
        let sum = single
            .iter()
            .filter_map(|own| own.get(&name))
            .fold(gradient.zeros_like(), |sum, own| sum + own / 4.0);
        assert_close(&gradient, &sum);
    }
}

#[test]
fn an_open_window_is_finished_early_or_discarded_at_the_end_of_the_epoch() {
    let (ours, theirs) = (Tiny::linear(2), Tiny::linear(2));
    let whole = ours.batch(8, 0.0);
    let loss = || Classification::new(Distillation::none());
    theirs.builder(loss()).build(&theirs).unwrap().step(&theirs, &whole).unwrap();
    let mut trainer = ours.builder(loss()).accumulate(3).build(&ours).unwrap();
    assert_eq!(trainer.finish_window().unwrap(), None);
    for i in 0..2 {
        trainer.step(&ours, &micro_batch(&whole, i)).unwrap();
    }
    assert_eq!(trainer.finish_window().unwrap(), Some(StepOutcome::Ready));
    let expected = gradients(&theirs.vs);
    gradients(&ours.vs).iter().for_each(|(name, found)| assert_close(found, &expected[name]));
    assert_eq!(trainer.end_epoch().unwrap().unfinished, 0);

    ours.optimizer().zero_grad();
    trainer.step(&ours, &whole).unwrap();
    assert_eq!(trainer.end_epoch().unwrap().unfinished, 1);
    assert!(gradients(&ours.vs).is_empty());
    assert!(trainer.step(&ours, &whole).unwrap().micro_batch.is_first());
}

#[test]
fn an_error_before_backward_leaves_the_window_open() {
    let (ours, theirs) = (Tiny::linear(2), Tiny::linear(2));
    let run = |student: &Tiny, fail: bool| {
        let builder = student.builder(Classification::default()).accumulate(2);
        let mut trainer = builder.build(student).unwrap();
        trainer.step(student, &student.batch(4, 0.0)).unwrap();
        if fail {
            let failing = ModifiedStudent::with_logits(student, |logits| logits * f64::NAN);
            trainer.step(&failing, &student.batch(4, 1.0)).unwrap_err();
        }
        let last = trainer.step(student, &student.batch(4, 2.0)).unwrap();
        assert!(last.outcome.is_ready());
        gradients(&student.vs)
    };
    assert_same(&run(&ours, true), &run(&theirs, false));
    assert_same(&values(&ours.vs), &values(&theirs.vs));
}

/// A modulation that changes nothing.
struct NoModulation;

impl Modulate for NoModulation {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }
    fn modulate(&mut self, _seen: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }
}

#[test]
fn accumulation_with_zero_gradient_or_a_modulation_is_an_error() {
    let student = Tiny::linear(2);
    let builder = || student.builder(Classification::default());
    let zero = Suppression::ZeroGradient(GradientScope::All);
    let built = builder().suppression(zero).accumulate(2).build(&student);
    assert_mismatch(built, &["accumulate(2)", "ZeroGradient", "SkipBackward"]);
    let built = builder().modulation(NoModulation).accumulate(2).build(&student);
    assert_mismatch(built, &["accumulate(2)", "gradient modulation"]);
    assert_mismatch(
        builder().accumulate(0).build(&student),
        &["accumulate", "at least 1", "found 0"],
    );
    builder().suppression(zero).modulation(NoModulation).accumulate(1).build(&student).unwrap();
}

#[test]
fn probes_observe_the_complete_gradients_of_a_window_once() {
    let (ours, theirs) = (Tiny::linear(2), Tiny::linear(2));
    let whole = ours.batch(8, 0.0);
    let builder = |student: &Tiny| {
        student.builder(Classification::default()).probe(GradientNorm::with_interval(2))
    };
    let mut large = builder(&theirs).build(&theirs).unwrap();
    large.step(&theirs, &whole).unwrap();
    let mut small = builder(&ours).accumulate(2).build(&ours).unwrap();
    for i in 0..2 {
        small.step(&ours, &micro_batch(&whole, i)).unwrap();
    }
    let (large, small) = (large.end_epoch().unwrap(), small.end_epoch().unwrap());
    assert_eq!(small.measurements.len(), 2);
    for (a, b) in small.measurements.iter().zip(&large.measurements) {
        assert_number(a.value, b.value);
    }
}

#[test]
fn probes_of_every_second_step_count_windows() {
    let student = Tiny::linear(2);
    let builder = student.builder_with_teachers(Classification::default()).accumulate(2);
    let mut trainer = builder
        .probe(GradientCosine::with_interval(2))
        .probe(TeacherCka::with_interval(2))
        .probe(UpdateRatio::with_interval(2))
        .build(&student)
        .unwrap();
    let mut optimizer = student.optimizer();
    for i in 0..4 {
        if trainer.step(&student, &student.batch(6, f64::from(i))).unwrap().outcome.is_ready() {
            optimizer.step();
            optimizer.zero_grad();
        }
    }
    let found = trainer.end_epoch().unwrap().measurements;
    for metric in ["cosine_task_feature", "cka_teacher", "update_ratio"] {
        let own: Vec<_> = found.iter().filter(|m| m.metric == metric).collect();
        assert_eq!(own.len(), 2, "{metric} of two encoders in {found:?}");
    }
}
