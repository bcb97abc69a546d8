//! `SkipBackward`: an encoder of κ = 0 has no gradient; κ between 0 and 1 scales the gradient.

use g2d::{G2dTrainer, loss::Classification, schedule::Sequential, trainer::Suppression};
use proptest::prelude::*;
use tch::{Kind, Tensor};

use crate::support::{
    FixedKappa, Tiny, assert_close, assert_same, fuzz_config, gradients, values, with_prefix,
};

fn trainer(student: &Tiny, kappa: &[f64]) -> G2dTrainer {
    let builder = student
        .builder_with_teachers(Classification::default())
        .scheduler(FixedKappa(kappa.to_vec()));
    assert_eq!(Suppression::default(), Suppression::SkipBackward);
    builder.build(student).unwrap()
}

#[test]
fn a_suppressed_encoder_is_not_updated_by_momentum_or_weight_decay() {
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
            assert!(
                with_prefix(&gradients(&student.vs), "m0").is_empty(),
                "gradients are undefined"
            );
            optimizer.step();
        }
        let after = values(&student.vs);
        for (name, parameter) in student.params().encoder(0) {
            assert!(parameter.equal(&before[name]), "{name} changed");
        }
        for (name, parameter) in student.params().encoder(1) {
            assert!(!parameter.equal(&before[name]), "{name} did not learn");
        }
        assert!(!after["head.weight"].equal(&before["head.weight"]), "the fusion learns");
        assert!(!after["head.bias"].equal(&before["head.bias"]), "the fusion learns");
    }
}

/// After a joint step without `zero_grad`.
#[test]
fn a_stale_gradient_of_a_suppressed_encoder_becomes_undefined() {
    let student = Tiny::linear(2);
    let mut optimizer = student.optimizer();
    trainer(&student, &[1.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    assert_eq!(with_prefix(&gradients(&student.vs), "m0").len(), student.params().encoder(0).len());
    let before = values(&student.vs);
    trainer(&student, &[0.0, 1.0]).step(&student, &student.batch(4, 1.0)).unwrap();
    assert!(with_prefix(&gradients(&student.vs), "m0").is_empty());
    optimizer.step();
    assert_same(&with_prefix(&values(&student.vs), "m0"), &with_prefix(&before, "m0"));
}

/// `Tensor::zero_grad` leaves a gradient of zeros, with which an optimizer still updates.
#[test]
fn a_zeroed_gradient_of_a_suppressed_encoder_becomes_undefined() {
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
    assert_same(&with_prefix(&values(&student.vs), "m0"), &with_prefix(&before, "m0"));
}

#[test]
fn gradients_of_learning_encoders_and_fusion_accumulate_without_zero_grad() {
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
fn running_statistics_of_a_suppressed_encoder_are_updated_by_default() {
    let student = Tiny::conv(2);
    let before = values(&student.vs);
    trainer(&student, &[0.0, 1.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    let after = values(&student.vs);
    for name in ["m0.bn.running_mean", "m0.bn.running_var", "m1.bn.running_mean"] {
        assert!(!after[name].equal(&before[name]), "{name} did not change");
    }
}

/// Against the gradients of the joint plan.
#[test]
fn kappa_scales_the_gradient_of_its_encoder_alone() {
    for student in [Tiny::linear(3), Tiny::conv(3)] {
        let batch = student.batch(4, 0.0);
        let run = |kappa: &[f64]| {
            student.optimizer().zero_grad();
            let report = trainer(&student, kappa).step(&student, &batch).unwrap();
            (report.terms.total.double_value(&[]), report.logits, gradients(&student.vs))
        };
        let (loss, logits, joint) = run(&[1.0, 1.0, 1.0]);
        let (scaled_loss, scaled_logits, scaled) = run(&[1.0, 0.3, 0.0625]);
        assert_eq!(loss, scaled_loss);
        assert!(logits.equal(&scaled_logits));
        for (name, gradient) in &joint {
            let kappa = match name.split('.').next() {
                Some("m1") => 0.3,
                Some("m2") => 0.0625,
                _ => 1.0,
            };
            assert_close(&scaled[name], &(gradient * kappa));
        }
        assert_same(&with_prefix(&scaled, "head"), &with_prefix(&joint, "head"));
        assert_same(&with_prefix(&scaled, "m0"), &with_prefix(&joint, "m0"));
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
    let ((joint, logits), (suppressed, other)) = (loss(&[1.0, 1.0]), loss(&[0.0, 1.0]));
    assert_eq!(joint, suppressed);
    assert!(logits.equal(&other));
}

#[test]
fn the_fusion_learns_while_all_encoders_are_suppressed() {
    let student = Tiny::linear(2);
    trainer(&student, &[0.0, 0.0]).step(&student, &student.batch(4, 0.0)).unwrap();
    let found = gradients(&student.vs);
    assert!(found.keys().eq(["head.bias", "head.weight"]), "{:?}", found.keys());
}

#[test]
fn schedulers_suppress_the_encoder_of_the_more_confident_teacher() {
    let student = Tiny::linear(2);
    let builder =
        student.builder_with_teachers(Classification::default()).scheduler(Sequential::new([1]));
    let mut trainer = builder.build(&student).unwrap();
    for seed in 0..4 {
        student.optimizer().zero_grad();
        let step = trainer.step(&student, &student.batch(5, f64::from(seed))).unwrap();
        let values = step.read().unwrap();
        let strong = if values.confidence[0] > values.confidence[1] { "m0" } else { "m1" };
        let weak = if strong == "m0" { "m1" } else { "m0" };
        let found = gradients(&student.vs);
        assert!(with_prefix(&found, strong).is_empty() && !with_prefix(&found, weak).is_empty());
    }
    trainer.end_epoch().unwrap();
    trainer.step(&student, &student.batch(5, 0.0)).unwrap();
    assert_eq!(gradients(&student.vs).len(), student.vs.trainable_variables().len());
}

proptest! {
    #![proptest_config(fuzz_config(24))]
    #[test]
    fn kappa_of_any_plan_acts_on_each_encoder_alone(
        kappa in prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.0..1.0_f64], 2..5),
        seed in 0.0..10.0_f64, stale in any::<bool>(),
    ) {
        let student = Tiny::linear(kappa.len());
        let batch = student.batch(3, seed);
        trainer(&student, &vec![1.0; kappa.len()]).step(&student, &batch).unwrap();
        let joint = gradients(&student.vs);
        if !stale {
            student.optimizer().zero_grad();
        }
        trainer(&student, &kappa).step(&student, &batch).unwrap();
        let found = gradients(&student.vs);
        let stale = f64::from(u8::from(stale));
        for (m, &kappa) in kappa.iter().enumerate() {
            let own = with_prefix(&found, &format!("m{m}"));
            prop_assert_eq!(own.is_empty(), kappa == 0.0);
            for (name, gradient) in own {
                let expected: Tensor = &joint[&name] * (kappa + stale);
                let error = (&gradient - &expected).abs().max().double_value(&[]);
                let largest = expected.abs().max().double_value(&[]).max(1e-3);
                prop_assert!(error <= 1e-12 * largest, "{}: error {}", name, error);
                prop_assert_eq!(gradient.kind(), Kind::Double);
            }
        }
    }
}
