//! Several micro-batches in one step of the optimizer, against one big batch and sums by hand.

use g2d::{
    Batch, Modality, Result, StepOutcome,
    loss::{Classification, Distillation},
    modulation::Modulate,
    probe::{GradientCosine, GradientNorm, TeacherCka, UpdateRatio},
    step::Observation,
    trainer::{GradientScope, Suppression},
};
use tch::Tensor;

use crate::support::{
    Kappa, Tiny, assert_close, assert_number, assert_same, below, gradients, mismatch, values,
};

/// Rows `from..to` of a batch.
fn part(whole: &Batch, from: i64, to: i64) -> Batch {
    let cut = |t: &Tensor| t.slice(0, from, to, 1);
    let inputs: Vec<_> = whole.inputs().iter().map(cut).collect();
    Batch::new(inputs, cut(whole.targets()))
}

#[test]
fn micro_batches_equal_one_big_batch() {
    let (ours, theirs) = (Tiny::linear(3), Tiny::linear(3));
    let whole = ours.batch(12, 0.0);
    let mut big = theirs.taught(Classification::default()).build(&theirs).unwrap();
    let expected = big.step(&theirs, &whole).unwrap();
    assert_eq!(expected.outcome, StepOutcome::Ready);

    let mut trainer = ours.taught(Classification::default()).accumulate(3).build(&ours).unwrap();
    let mut total = 0.0;
    for i in 0..3 {
        let report = trainer.step(&ours, &part(&whole, 4 * i, 4 * i + 4)).unwrap();
        assert_eq!((report.micro_batch.index, report.micro_batch.count), (i as u64, 3));
        assert_eq!(report.outcome.is_ready(), i == 2);
        assert_eq!(report.outcome == StepOutcome::Accumulating, i < 2);
        total += report.read().unwrap().terms.total / 3.0;
    }
    assert_number(total, expected.read().unwrap().terms.total);
    let (found, expected) = (gradients(&ours.vs), gradients(&theirs.vs));
    assert!(found.keys().eq(expected.keys()));
    found.iter().for_each(|(name, gradient)| assert_close(gradient, &expected[name]));
    // The next window begins anew.
    assert!(trainer.step(&ours, &part(&whole, 0, 4)).unwrap().micro_batch.is_first());
}

/// Σ κ_i g_i / n, where each g_i is the gradient of a step of its own; a stale gradient of an encoder
/// that the first micro-batch suppresses does not enter.
#[test]
fn a_suppressed_encoder_keeps_what_earlier_micro_batches_left() {
    let plans = [[0.0, 1.0], [1.0, 0.0], [0.5, 1.0], [0.0, 0.0]];
    let student = Tiny::linear(2);
    let trainer = |kappa: &[f64], n| {
        let builder = student.taught(Classification::default()).accumulate(n);
        builder.scheduler(Kappa(kappa.to_vec())).build(&student).unwrap()
    };
    let alone: Vec<_> = (0..plans.len())
        .map(|i| {
            student.optimizer().zero_grad();
            let batch = student.batch(4, i as f64);
            trainer(&plans[i], 1).step(&student, &batch).unwrap();
            gradients(&student.vs)
        })
        .collect();

    student.optimizer().zero_grad();
    trainer(&[1.0, 1.0], 1).step(&student, &student.batch(4, 9.0)).unwrap();
    let stale = below(&gradients(&student.vs), "m0");
    for (name, tensor) in student.vs.variables() {
        if !name.starts_with("m0") {
            let _ = tensor.grad().zero_();
        }
    }
    assert!(!stale.is_empty());
    let schedule = Turns(plans.iter().map(|plan| plan.to_vec()).collect());
    let builder = student.taught(Classification::default()).accumulate(4).scheduler(schedule);
    let mut all = builder.build(&student).unwrap();
    for i in 0..plans.len() {
        all.step(&student, &student.batch(4, i as f64)).unwrap();
        assert_eq!(below(&gradients(&student.vs), "m0").is_empty(), i == 0);
    }
    for (name, gradient) in gradients(&student.vs) {
        let sum = alone
            .iter()
            .filter_map(|own| own.get(&name))
            .fold(gradient.zeros_like(), |sum, own| sum + own / 4.0);
        assert_close(&gradient, &sum);
    }
}

/// A κ a step, in turn.
struct Turns(Vec<Vec<f64>>);

impl g2d::SmpScheduler for Turns {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }
    fn needs_confidence(&self) -> bool {
        false
    }
    fn plan(
        &mut self,
        at: g2d::schedule::Progress,
        _candidates: &g2d::schedule::Candidates,
    ) -> Result<g2d::schedule::Plan> {
        g2d::schedule::Plan::new(self.0[at.step as usize % self.0.len()].clone())
    }
}

#[test]
fn a_window_is_finished_early_or_dropped_with_its_epoch() {
    let (ours, theirs) = (Tiny::linear(2), Tiny::linear(2));
    let whole = ours.batch(8, 0.0);
    let loss = || Classification::new(Distillation::none());
    theirs.builder(loss()).build(&theirs).unwrap().step(&theirs, &whole).unwrap();
    let mut trainer = ours.builder(loss()).accumulate(3).build(&ours).unwrap();
    assert_eq!(trainer.finish_window().unwrap(), None);
    for i in 0..2 {
        trainer.step(&ours, &part(&whole, 4 * i, 4 * i + 4)).unwrap();
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

/// A micro-batch that fails before backward leaves the window where it was.
#[test]
fn a_failed_micro_batch_can_be_replaced() {
    let (ours, theirs) = (Tiny::linear(2), Tiny::linear(2));
    let run = |student: &Tiny, fail: bool| {
        let builder = student.builder(Classification::default()).accumulate(2);
        let mut trainer = builder.build(student).unwrap();
        trainer.step(student, &student.batch(4, 0.0)).unwrap();
        if fail {
            let bent = crate::support::Bent::fuse(student, |logits| logits * f64::NAN);
            trainer.step(&bent, &student.batch(4, 1.0)).unwrap_err();
        }
        let last = trainer.step(student, &student.batch(4, 2.0)).unwrap();
        assert!(last.outcome.is_ready());
        gradients(&student.vs)
    };
    assert_same(&run(&ours, true), &run(&theirs, false));
    assert_same(&values(&ours.vs), &values(&theirs.vs));
}

struct Nothing;

impl Modulate for Nothing {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }
    fn modulate(&mut self, _seen: &Observation<'_>) -> Result<Option<Vec<f64>>> {
        Ok(None)
    }
}

#[test]
fn what_multiplies_gradients_cannot_accumulate() {
    let student = Tiny::linear(2);
    let builder = || student.builder(Classification::default());
    let zero = Suppression::ZeroGradient(GradientScope::All);
    let refused = builder().suppression(zero).accumulate(2).build(&student);
    mismatch(refused, &["accumulate(2)", "ZeroGradient", "SkipBackward"]);
    let refused = builder().modulation(Nothing).accumulate(2).build(&student);
    mismatch(refused, &["accumulate(2)", "gradient modulation"]);
    mismatch(builder().accumulate(0).build(&student), &["accumulate", "at least 1", "found 0"]);
    builder().suppression(zero).modulation(Nothing).accumulate(1).build(&student).unwrap();
}

/// A probe sees the gradient that the optimizer will see, once a window.
#[test]
fn probes_look_at_complete_gradients() {
    let (ours, theirs) = (Tiny::linear(2), Tiny::linear(2));
    let whole = ours.batch(8, 0.0);
    let builder = |student: &Tiny| {
        student.builder(Classification::default()).probe(GradientNorm::with_interval(2))
    };
    let mut big = builder(&theirs).build(&theirs).unwrap();
    big.step(&theirs, &whole).unwrap();
    let mut small = builder(&ours).accumulate(2).build(&ours).unwrap();
    for i in 0..2 {
        small.step(&ours, &part(&whole, 4 * i, 4 * i + 4)).unwrap();
    }
    let (big, small) = (big.end_epoch().unwrap(), small.end_epoch().unwrap());
    assert_eq!(small.measurements.len(), 2);
    for (a, b) in small.measurements.iter().zip(&big.measurements) {
        assert_number(a.value, b.value);
    }
}

/// Probes that look at every second step count steps of the optimizer: windows, not micro-batches.
#[test]
fn every_second_window_is_looked_at() {
    let student = Tiny::linear(2);
    let builder = student.taught(Classification::default()).accumulate(2);
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
