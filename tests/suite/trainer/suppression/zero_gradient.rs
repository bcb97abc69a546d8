//! `ZeroGradient`, the authors' suppression: gradients are multiplied by κ and stay defined.

use g2d::{
    G2dTrainer,
    loss::Classification,
    trainer::{GradientScope, Suppression},
};
use tch::Tensor;

use crate::support::{FixedKappa, Tiny, assert_close, assert_same, gradients, values, with_prefix};

fn trainer(student: &Tiny, suppression: Suppression, kappa: &[f64]) -> G2dTrainer {
    let builder = student.builder_with_teachers(Classification::default()).suppression(suppression);
    builder.scheduler(FixedKappa(kappa.to_vec())).build(student).unwrap()
}

const ALL: Suppression = Suppression::ZeroGradient(GradientScope::All);
const FOUR: Suppression = Suppression::ZeroGradient(GradientScope::FourDimensional);

#[test]
fn all_gradients_of_a_suppressed_encoder_are_zero() {
    let student = Tiny::conv(2);
    trainer(&student, ALL, &[0.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    let found = gradients(&student.vs);
    let own = with_prefix(&found, "m0");
    assert_eq!(own.len(), student.params().encoder(0).len(), "defined, and zero");
    assert!(own.values().all(|g| g.equal(&g.zeros_like())));
    assert!(with_prefix(&found, "m1").values().any(|g| !g.equal(&g.zeros_like())));
}

#[test]
fn the_scope_four_dimensional_leaves_gradients_of_batch_norm_and_biases_unchanged() {
    let student = Tiny::conv(2);
    let batch = student.batch(4, 0.0);
    trainer(&student, ALL, &[1.0, 1.0]).step(&student, &batch).unwrap();
    let joint = gradients(&student.vs);
    for kappa in [0.0, 0.4] {
        student.optimizer().zero_grad();
        trainer(&student, FOUR, &[kappa, 1.0]).step(&student, &batch).unwrap();
        for (name, gradient) in gradients(&student.vs) {
            let scaled = name == "m0.conv.weight";
            assert_close(&gradient, &(&joint[&name] * if scaled { kappa } else { 1.0 }));
        }
        assert!(joint["m0.bn.weight"].abs().max().double_value(&[]) > 0.0);
    }
}

#[test]
fn kappa_between_0_and_1_scales_gradients_as_under_skip_backward() {
    for student in [Tiny::linear(3), Tiny::conv(3)] {
        let batch = student.batch(4, 0.0);
        let run = |suppression| {
            student.optimizer().zero_grad();
            let mut trainer = trainer(&student, suppression, &[0.3, 1.0, 0.75]);
            trainer.step(&student, &batch).unwrap();
            gradients(&student.vs)
        };
        let (skip, zero) = (run(Suppression::SkipBackward), run(ALL));
        assert!(skip.keys().eq(zero.keys()));
        skip.iter().for_each(|(name, gradient)| assert_close(gradient, &zero[name]));
    }
}

/// SGD computed by hand: v ← μ v + (g + λ θ), θ ← θ − η v, with η = 0.05, μ = 0.9, λ = 0.1 and, in
/// the stage, g = 0.
#[test]
fn momentum_and_weight_decay_update_an_encoder_with_zero_gradients() {
    let student = Tiny::linear(2);
    let mut optimizer = student.optimizer();
    let at = |name: &str| values(&student.vs)[name].shallow_clone();
    let name = "m0.a.weight";

    let start = at(name);
    trainer(&student, ALL, &[1.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    let gradient = gradients(&student.vs)[name].shallow_clone();
    optimizer.step();
    let mut velocity: Tensor = &gradient + &start * 0.1;
    let mut expected: Tensor = &start - &velocity * 0.05;
    assert_close(&at(name), &expected);

    let mut stage = trainer(&student, ALL, &[0.0, 1.0]);
    for step in 1..4 {
        optimizer.zero_grad();
        stage.step(&student, &student.batch(4, f64::from(step))).unwrap();
        optimizer.step();
        velocity = velocity * 0.9 + &expected * 0.1;
        expected = &expected - &velocity * 0.05;
        assert_close(&at(name), &expected);
    }
    assert!(!at(name).equal(&start));
}

/// The first step of the stage still agrees; then the optimizer updates the suppressed encoder.
#[test]
fn training_differs_from_skip_backward_from_the_second_step_of_a_stage() {
    let train = |suppression| {
        let student = Tiny::linear(2);
        let mut optimizer = student.optimizer();
        trainer(&student, suppression, &[1.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
        optimizer.step();
        let before = values(&student.vs);
        let mut stage = trainer(&student, suppression, &[0.0, 1.0]);
        let batches = (1..4).map(|step| student.batch(4, f64::from(step)));
        let steps = student.train(&mut stage, &mut optimizer, batches);
        let losses: Vec<f64> = steps.iter().map(|step| step.terms.total).collect();
        (before, values(&student.vs), losses)
    };
    let (start, skipped, losses) = train(Suppression::SkipBackward);
    let (same_start, zeroed, other_losses) = train(ALL);
    assert_same(&start, &same_start);
    assert_same(&with_prefix(&start, "m0"), &with_prefix(&skipped, "m0"));
    for (name, value) in with_prefix(&zeroed, "m0") {
        assert!(!value.equal(&start[&name]), "{name} did not change");
    }
    assert_eq!(losses[0], other_losses[0]);
    assert!(losses[1] != other_losses[1] && losses[2] != other_losses[2]);
}

#[test]
fn a_stale_gradient_of_a_suppressed_encoder_is_zeroed() {
    let student = Tiny::linear(2);
    trainer(&student, ALL, &[1.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    trainer(&student, ALL, &[0.0, 1.0]).step(&student, &student.batch(4, 1.0)).unwrap();
    assert!(with_prefix(&gradients(&student.vs), "m0").values().all(|g| g.equal(&g.zeros_like())));
}
