//! Gradient clipping and parameter groups beside a suppressed encoder.

use g2d::{G2dTrainer, loss::Classification};
use tch::{
    Tensor,
    nn::{self, Module, OptimizerConfig},
};

use super::changed;
use crate::support::{
    ClosureStudent, FixedKappa, INPUT, Tiny, WIDTH, assert_close, assert_same, gradients, values,
    with_prefix,
};

/// A trainer that suppresses m0.
fn suppressing(student: &Tiny) -> G2dTrainer {
    let builder = student.builder_with_teachers(Classification::default());
    builder.scheduler(FixedKappa(vec![0.0, 1.0])).build(student).unwrap()
}

/// The norm is that of the encoders that learn.
#[test]
fn clipping_by_norm_leaves_a_suppressed_encoder_unchanged() {
    let student = Tiny::linear(2);
    let mut optimizer = student.optimizer();
    let before = values(&student.vs);
    for _ in 0..3 {
        optimizer.zero_grad();
        suppressing(&student).step(&student, &student.batch(4, 0.0)).unwrap();
        let raw = gradients(&student.vs);
        let squares = raw.values().map(|g| g.square().sum(None).double_value(&[]));
        let norm = squares.sum::<f64>().sqrt();
        assert!(norm > 0.1, "there is something to clip");
        optimizer.clip_grad_norm(0.1);
        let clipped = gradients(&student.vs);
        assert!(raw.keys().eq(clipped.keys()) && with_prefix(&clipped, "m0").is_empty());
        for (name, gradient) in &clipped {
            assert_close(gradient, &(&raw[name] * (0.1 / (norm + 1e-6))));
        }
        optimizer.step();
    }
    assert_same(&with_prefix(&values(&student.vs), "m0"), &with_prefix(&before, "m0"));
}

#[test]
fn clipping_by_value_leaves_a_suppressed_encoder_unchanged() {
    let student = Tiny::linear(2);
    let mut optimizer = student.optimizer();
    optimizer.zero_grad();
    suppressing(&student).step(&student, &student.batch(4, 0.0)).unwrap();
    let raw = gradients(&student.vs);
    optimizer.clip_grad_value(0.01);
    let clipped = gradients(&student.vs);
    assert!(raw.keys().eq(clipped.keys()) && with_prefix(&clipped, "m0").is_empty());
    let changed = raw.iter().filter(|(name, g)| !g.equal(&clipped[*name])).count();
    assert!(changed > 0, "there is something to clip");
    for (name, gradient) in &clipped {
        assert!(gradient.equal(&raw[name].clamp(-0.01, 0.01)), "{name}");
    }
}

/// Encoders a and b in the parameter groups 1 and 2, the head in group 0.
fn grouped() -> ClosureStudent {
    ClosureStudent::new(["a", "b"], 0.9, |root| {
        let encoders = [("a", 1), ("b", 2)].map(|(name, group)| {
            nn::linear(root.set_group(group) / name, INPUT, WIDTH, Default::default())
        });
        move |m, x: &Tensor| encoders[m].forward(x).tanh()
    })
}

fn trainer(model: &ClosureStudent, kappa: [f64; 2]) -> G2dTrainer {
    model.builder().scheduler(FixedKappa(kappa.to_vec())).build(model).unwrap()
}

/// θ ← θ − η_g (g + λ_g θ) with the η and λ of each group.
#[test]
fn every_group_steps_with_its_own_rate_and_decay() {
    let model = grouped();
    let mut optimizer = nn::Sgd::default().build(&model.vs, 0.1).unwrap();
    optimizer.set_lr_group(1, 0.02);
    optimizer.set_lr_group(2, 0.5);
    optimizer.set_weight_decay_group(2, 0.25);
    for (kappa, suppressed) in [([1.0, 1.0], ""), ([0.0, 1.0], "a"), ([1.0, 0.0], "b")] {
        optimizer.zero_grad();
        trainer(&model, kappa).step(&model, &model.batch()).unwrap();
        let (before, gradients) = (values(&model.vs), gradients(&model.vs));
        optimizer.step();
        for (name, value) in values(&model.vs) {
            let root = name.split('.').next().unwrap();
            let old = &before[&name];
            if root == suppressed {
                assert!(value.equal(old), "{name} changed");
                continue;
            }
            let (rate, decay) = match root {
                "a" => (0.02, 0.0),
                "b" => (0.5, 0.25),
                _ => (0.1, 0.0),
            };
            assert_close(&value, &(old - rate * (&gradients[&name] + decay * old)));
        }
    }
}

/// AdamW does not update moments or apply decay where every gradient of a group is undefined.
#[test]
fn adamw_skips_the_group_of_a_suppressed_encoder() {
    let model = grouped();
    let mut optimizer = nn::AdamW::default().build(&model.vs, 0.01).unwrap();
    optimizer.set_weight_decay_group(1, 0.5);
    let mut joint = trainer(&model, [1.0, 1.0]);
    let all = changed(&mut joint, &model, &model.vs, &mut optimizer, &model.batch());
    assert_eq!(all.len(), model.vs.variables().len());
    let mut stage = trainer(&model, [0.0, 1.0]);
    let found = changed(&mut stage, &model, &model.vs, &mut optimizer, &model.batch());
    assert!(found.iter().all(|name| !name.starts_with("a.")), "{found:?}");
    assert_eq!(found.len(), 4);
}
