//! The updates of an optimizer by the trainer.

use g2d::{
    G2dTrainer, Result, StepOutcome,
    loss::Classification,
    optim::{ApplyGradients, LrSchedule, Optimizer, SgdConfig},
    probe::ImbalanceProbe,
    schedule::Progress,
    step::{Measurement, Observation},
    trainer::{NonFinite, ResumeState},
};

use crate::support::{
    Tiny, assert_config_error, assert_error, assert_number, assert_same, count_synchronisations,
    gradients, is_same, values, with_nan_input,
};

const SGD: SgdConfig =
    SgdConfig { lr: 0.05, momentum: 0.9, dampening: 0.0, weight_decay: 0.1, nesterov: false };

fn own(student: &Tiny) -> Optimizer {
    Optimizer::builder(&student.vs, SGD).build().unwrap()
}

fn trainer(student: &Tiny, n: u64) -> G2dTrainer {
    let builder = student.builder_with_teachers(Classification::default());
    builder.accumulate(n).clip_norm(0.05).build(student).unwrap()
}

/// Two epochs of five steps; a window of two ends early.
fn train(student: &Tiny, optimizer: &mut impl ApplyGradients) -> G2dTrainer {
    let mut trainer = trainer(student, 2);
    for epoch in 0..2 {
        for step in 0..5 {
            trainer.step(student, &student.batch(4, f64::from(5 * epoch + step))).unwrap();
            trainer.update(optimizer).unwrap();
        }
        assert!(trainer.finish_update(optimizer).unwrap().is_some());
        assert!(trainer.finish_update(optimizer).unwrap().is_none(), "nothing is left to do");
        assert_eq!(trainer.end_epoch().unwrap().unfinished, 0);
    }
    trainer
}

#[test]
fn an_update_clips_steps_and_zeroes_where_the_outcome_is_ready() {
    let by_hand = Tiny::linear(2);
    let (mut reference, mut optimizer) = (trainer(&by_hand, 2), own(&by_hand));
    let mut apply = |ready: bool| {
        if ready {
            optimizer.clip_grad_norm(0.05).unwrap();
            optimizer.step().unwrap();
            optimizer.zero_grad().unwrap();
        }
    };
    for epoch in 0..2 {
        for step in 0..5 {
            let batch = by_hand.batch(4, f64::from(5 * epoch + step));
            apply(reference.step(&by_hand, &batch).unwrap().outcome.is_ready());
        }
        apply(reference.finish_window().unwrap() == Some(StepOutcome::Ready));
        reference.end_epoch().unwrap();
    }
    let student = Tiny::linear(2);
    let trained = train(&student, &mut own(&student));
    assert_same(&values(&student.vs), &values(&by_hand.vs));
    let at = Progress { epoch: 2, step: 0, total_steps: 10, updates: 6 };
    assert_eq!(trained.progress(), at);
    assert_eq!(reference.progress(), at);
    // tch's optimizer, which computes the same update in another order.
    let theirs = Tiny::linear(2);
    train(&theirs, &mut theirs.optimizer());
    for (name, tensor) in values(&theirs.vs) {
        assert!(tensor.allclose(&values(&student.vs)[&name], 1e-6, 1e-9, false), "{name}");
    }
}

#[test]
fn an_update_returns_the_norm_before_it_was_clipped() {
    let student = Tiny::linear(2);
    let (mut trainer, mut optimizer) = (trainer(&student, 1), own(&student));
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    let squares = gradients(&student.vs).into_values();
    let squares = squares.map(|g| g.square().sum(None).double_value(&[]));
    let norm = squares.sum::<f64>().sqrt();
    let update = || trainer.update(&mut optimizer).unwrap().unwrap();
    let (update, synchronisations) = count_synchronisations(update);
    assert_number(update.gradient_norm.unwrap().double_value(&[]), norm);
    assert_eq!(synchronisations, 0);
    assert!(gradients(&student.vs).is_empty());

    let builder = student.builder(Classification::default());
    let mut unclipped = builder.build(&student).unwrap();
    unclipped.step(&student, &student.batch(4, 0.0)).unwrap();
    assert!(unclipped.update(&mut optimizer).unwrap().unwrap().gradient_norm.is_none());
    for norm in [0.0, -1.0, f64::NAN] {
        let builder = student.builder(Classification::default()).clip_norm(norm);
        assert_config_error(builder.build(&student), &["clip_norm", "above 0"]);
    }
    // With an infinite norm nothing is clipped.
    let builder = student.builder(Classification::default()).clip_norm(f64::INFINITY);
    let mut measured = builder.build(&student).unwrap();
    let before = values(&student.vs);
    measured.step(&student, &student.batch(4, 0.0)).unwrap();
    let raw = gradients(&student.vs);
    let plain = SgdConfig { lr: 1.0, ..Default::default() };
    let mut optimizer = Optimizer::builder(&student.vs, plain).build().unwrap();
    let update = measured.update(&mut optimizer).unwrap().unwrap();
    assert!(update.gradient_norm.unwrap().double_value(&[]) > 0.0);
    for (name, value) in values(&student.vs) {
        let expected = raw.get(&name).map_or_else(|| before[&name].copy(), |g| &before[&name] - g);
        assert!(value.allclose(&expected, 1e-12, 1e-12, false), "{name}");
    }
}

/// A parameter of the trainer that the optimizer does not have must not add up gradients.
#[test]
fn gradients_of_parameters_that_the_optimizer_does_not_have_are_cleared() {
    let student = Tiny::linear(2);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let other = Tiny::linear(2);
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    trainer.update(&mut own(&other)).unwrap();
    assert!(gradients(&student.vs).is_empty());
}

#[test]
fn a_skipped_step_is_zeroed_and_counts_no_update() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).non_finite(NonFinite::Skip);
    let (mut trainer, mut optimizer) = (builder.build(&student).unwrap(), own(&student));
    assert!(trainer.update(&mut optimizer).unwrap().is_none(), "no step yet");
    let before = values(&student.vs);
    let report = trainer.step(&student, &with_nan_input(&student.batch(4, 0.0), 0)).unwrap();
    assert!(report.outcome.skipped().is_some());
    // A gradient of the caller's own is zeroed, too.
    student.vs.variables()["head.bias"].sum(None).backward();
    assert!(trainer.update(&mut optimizer).unwrap().is_none());
    assert!(gradients(&student.vs).is_empty());
    assert_same(&values(&student.vs), &before);
    assert_eq!((trainer.progress().total_steps, trainer.progress().updates), (1, 0));
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    trainer.update(&mut optimizer).unwrap().unwrap();
    assert_eq!(trainer.progress().updates, 1);
    assert!(!is_same(&values(&student.vs), &before));
}

/// Fails in every observation.
struct Failing;

impl ImbalanceProbe for Failing {
    fn observe(&mut self, _step: &Observation<'_>) -> Result<()> {
        Err(g2d::error::config("probe", "success", "failure", "none"))
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        Ok(Vec::new())
    }
}

#[test]
fn the_gradients_of_a_step_that_failed_after_backward_are_not_applied() {
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).probe(Failing);
    let (mut trainer, mut optimizer) = (builder.build(&student).unwrap(), own(&student));
    let before = values(&student.vs);
    assert_error(trainer.step(&student, &student.batch(4, 0.0)), &["probe"]);
    assert!(!gradients(&student.vs).is_empty());
    assert!(trainer.update(&mut optimizer).unwrap().is_none());
    assert!(gradients(&student.vs).is_empty());
    assert_same(&values(&student.vs), &before);
    assert_eq!(trainer.progress().updates, 0);
}

#[test]
fn a_schedule_per_update_follows_the_count_of_the_trainer() {
    let student = Tiny::linear(2);
    let schedule = LrSchedule::polynomial(4, 1.0);
    let (mut trainer, mut optimizer) = (trainer(&student, 2), own(&student));
    let mut rates = Vec::new();
    for step in 0..6 {
        optimizer.set_lr_factor(schedule.factor(trainer.progress().updates)).unwrap();
        trainer.step(&student, &student.batch(4, f64::from(step))).unwrap();
        if trainer.update(&mut optimizer).unwrap().is_some() {
            rates.push(optimizer.lr().next().unwrap().1 / SGD.lr);
        }
    }
    assert_eq!(rates.len(), 3);
    rates.iter().zip([1.0, 0.75, 0.5]).for_each(|(rate, expected)| assert_number(*rate, expected));
}

#[test]
fn a_state_without_a_count_of_updates_is_read() {
    let student = Tiny::linear(2);
    let mut trainer = train(&student, &mut own(&student));
    let state = serde_json::to_value(trainer.state().unwrap()).unwrap();
    assert_eq!(state["progress"]["updates"], 6);
    let mut old = state.clone();
    old["progress"].as_object_mut().unwrap().remove("updates");
    let old: ResumeState = serde_json::from_value(old).unwrap();
    trainer.restore(&old).unwrap();
    assert_eq!((trainer.progress().total_steps, trainer.progress().updates), (10, 0));
    let state: ResumeState = serde_json::from_value(state).unwrap();
    trainer.restore(&state).unwrap();
    assert_eq!(trainer.progress().updates, 6);
}
