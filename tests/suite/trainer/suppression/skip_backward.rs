//! `SkipBackward`: a suppressed encoder stands still, one between learns in proportion.

use g2d::{G2dTrainer, loss::Classification, schedule::Sequential, trainer::Suppression};
use proptest::prelude::*;
use tch::{Kind, Tensor};

use crate::support::{Kappa, Tiny, assert_close, assert_same, below, fuzz, gradients, values};

fn trainer(student: &Tiny, kappa: &[f64]) -> G2dTrainer {
    let builder = student.taught(Classification::default()).scheduler(Kappa(kappa.to_vec()));
    assert_eq!(Suppression::default(), Suppression::SkipBackward);
    builder.build(student).unwrap()
}

#[test]
fn a_suppressed_encoder_is_not_moved_by_momentum_or_weight_decay() {
    for student in [Tiny::linear(2), Tiny::conv(2)] {
        let mut optimizer = student.optimizer();
        let mut joint = trainer(&student, &[1.0, 1.0]);
        for step in 0..3 {
            optimizer.zero_grad();
            joint.step(&student, &student.batch(4, f64::from(step))).unwrap();
            optimizer.step(); // fills momentum for every parameter
        }
        let before = values(&student.vs);
        let mut stage = trainer(&student, &[0.0, 1.0]);
        for step in 0..3 {
            optimizer.zero_grad();
            stage.step(&student, &student.batch(4, f64::from(step))).unwrap();
            assert!(below(&gradients(&student.vs), "m0").is_empty(), "gradients are undefined");
            optimizer.step();
        }
        let after = values(&student.vs);
        for (name, parameter) in student.params().encoder(0) {
            assert!(parameter.equal(&before[name]), "{name} moved");
        }
        for (name, parameter) in student.params().encoder(1) {
            assert!(!parameter.equal(&before[name]), "{name} did not learn");
        }
        assert!(!after["head.weight"].equal(&before["head.weight"]), "fusion learns");
        assert!(!after["head.bias"].equal(&before["head.bias"]), "fusion learns");
    }
}

/// The caller forgot `zero_grad` after a joint step.
#[test]
fn a_stale_gradient_is_never_stepped() {
    let student = Tiny::linear(2);
    let mut optimizer = student.optimizer();
    trainer(&student, &[1.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    assert_eq!(below(&gradients(&student.vs), "m0").len(), student.params().encoder(0).len());
    let before = values(&student.vs);
    trainer(&student, &[0.0, 1.0]).step(&student, &student.batch(4, 1.0)).unwrap();
    assert!(below(&gradients(&student.vs), "m0").is_empty());
    optimizer.step();
    assert_same(&below(&values(&student.vs), "m0"), &below(&before, "m0"));
}

/// Zeros made by `Tensor::zero_grad` are gradients too.
#[test]
fn a_zeroed_gradient_is_never_stepped() {
    let student = Tiny::linear(2);
    let mut optimizer = student.optimizer();
    trainer(&student, &[1.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    optimizer.step();
    for (_, parameter) in student.params().encoder(0) {
        parameter.shallow_clone().zero_grad();
    }
    let before = values(&student.vs);
    trainer(&student, &[0.0, 1.0]).step(&student, &student.batch(4, 1.0)).unwrap();
    optimizer.step();
    assert_same(&below(&values(&student.vs), "m0"), &below(&before, "m0"));
}

/// Even where nothing else could carry a gradient into it: gradients of the others add up.
#[test]
fn gradients_of_learning_parts_accumulate() {
    let student = Tiny::linear(2);
    let batch = student.batch(4, 0.0);
    let mut stage = trainer(&student, &[0.0, 1.0]);
    stage.step(&student, &batch).unwrap();
    let once = gradients(&student.vs);
    stage.step(&student, &batch).unwrap();
    let twice = gradients(&student.vs);
    assert!(once.keys().eq(twice.keys()));
    for (name, gradient) in &once {
        assert_close(&twice[name], &(gradient * 2.0));
    }
}

#[test]
fn running_statistics_of_a_suppressed_encoder_still_move() {
    let student = Tiny::conv(2);
    let before = values(&student.vs);
    trainer(&student, &[0.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    let after = values(&student.vs);
    for name in ["m0.bn.running_mean", "m0.bn.running_var", "m1.bn.running_mean"] {
        assert!(!after[name].equal(&before[name]), "{name} stood still");
    }
}

/// κ in (0, 1) against a plain backward of the same loss.
#[test]
fn kappa_scales_exactly_its_encoders_gradient() {
    for student in [Tiny::linear(3), Tiny::conv(3)] {
        let batch = student.batch(4, 0.0);
        let run = |kappa: &[f64]| {
            student.optimizer().zero_grad();
            let report = trainer(&student, kappa).step(&student, &batch).unwrap();
            (report.terms.total.double_value(&[]), report.logits, gradients(&student.vs))
        };
        let (loss, logits, joint) = run(&[1.0, 1.0, 1.0]);
        let (gated_loss, gated_logits, gated) = run(&[1.0, 0.3, 0.0625]);
        assert_eq!(loss, gated_loss, "the gate does not change the value");
        assert!(logits.equal(&gated_logits));
        for (name, gradient) in &joint {
            let kappa = match name.split('.').next() {
                Some("m1") => 0.3,
                Some("m2") => 0.0625,
                _ => 1.0,
            };
            assert_close(&gated[name], &(gradient * kappa));
        }
        assert_same(&below(&gated, "head"), &below(&joint, "head"));
        assert_same(&below(&gated, "m0"), &below(&joint, "m0"));
    }
}

#[test]
fn a_suppressed_encoder_does_not_change_the_loss() {
    let student = Tiny::conv(2);
    let batch = student.batch(4, 0.0);
    let loss = |kappa: &[f64]| {
        let report = trainer(&student, kappa).step(&student, &batch).unwrap();
        (report.terms.total.double_value(&[]), report.logits)
    };
    let ((joint, logits), (alone, same)) = (loss(&[1.0, 1.0]), loss(&[0.0, 1.0]));
    assert_eq!(joint, alone);
    assert!(logits.equal(&same));
}

/// With every encoder stopped the fusion still learns.
#[test]
fn all_encoders_may_stand_still() {
    let student = Tiny::linear(2);
    trainer(&student, &[0.0, 0.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    let found = gradients(&student.vs);
    assert!(found.keys().eq(["head.bias", "head.weight"]), "{:?}", found.keys());
}

/// The whole way from ρ to the gradients: the scheduler's choice is what is suppressed.
#[test]
fn the_stronger_teacher_s_encoder_is_suppressed() {
    let student = Tiny::linear(2);
    let builder = student.taught(Classification::default()).scheduler(Sequential::new([1]));
    let mut trainer = builder.build(&student).unwrap();
    for seed in 0..4 {
        student.optimizer().zero_grad();
        let step = trainer.step(&student, &student.batch(5, f64::from(seed))).unwrap();
        let values = step.read().unwrap();
        let strong = if values.confidence[0] > values.confidence[1] { "m0" } else { "m1" };
        let weak = if strong == "m0" { "m1" } else { "m0" };
        let found = gradients(&student.vs);
        assert!(below(&found, strong).is_empty() && !below(&found, weak).is_empty());
    }
    trainer.end_epoch().unwrap();
    trainer.step(&student, &student.batch(5, 0.0)).unwrap();
    assert_eq!(gradients(&student.vs).len(), student.vs.trainable_variables().len());
}

proptest! {
    #![proptest_config(fuzz(24))]
    #[test]
    fn any_plan_acts_on_each_encoder_alone(
        kappa in prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64], 2..5),
        seed in 0.0..10.0_f64, forgot_zero_grad in any::<bool>(),
    ) {
        let student = Tiny::linear(kappa.len());
        let batch = student.batch(3, seed);
        trainer(&student, &vec![1.0; kappa.len()]).step(&student, &batch).unwrap();
        let joint = gradients(&student.vs);
        if !forgot_zero_grad {
            student.optimizer().zero_grad();
        }
        trainer(&student, &kappa).step(&student, &batch).unwrap();
        let found = gradients(&student.vs);
        let stale = f64::from(u8::from(forgot_zero_grad));
        for (m, &kappa) in kappa.iter().enumerate() {
            let own = below(&found, &format!("m{m}"));
            prop_assert_eq!(own.is_empty(), kappa == 0.0);
            for (name, gradient) in own {
                let expected: Tensor = &joint[&name] * (kappa + stale);
                let off = (&gradient - &expected).abs().max().double_value(&[]);
                let size = expected.abs().max().double_value(&[]).max(1e-3);
                prop_assert!(off <= 1e-12 * size, "{} is {} off", name, off);
                prop_assert_eq!(gradient.kind(), Kind::Double);
            }
        }
    }
}
