//! Frozen backbones with low-rank adapters; layers frozen and unfrozen during training.

use g2d::{
    schedule::Sequential,
    trainer::{GradientScope, Suppression},
};
use tch::{
    Tensor,
    nn::{self, Module},
};

use super::{changed, names_below, trainer};
use crate::support::{ClosureStudent, FixedKappa, INPUT, WIDTH, gradients, values, with_prefix};

const RANK: i64 = 2;
const BACKBONES: [&str; 2] = ["a.backbone", "b.backbone"];

/// Encoders tanh(W x + U D x) with a backbone W and an adapter of `up` U and `down` D.
fn model() -> ClosureStudent {
    ClosureStudent::new(["a", "b"], 0.8, |root| {
        let linear = |path, from, to| nn::linear(path, from, to, Default::default());
        let encoders = ["a", "b"].map(|name| {
            let backbone = linear(root / name / "backbone", INPUT, WIDTH);
            let down = linear(root / name / "down", INPUT, RANK);
            (backbone, down, linear(root / name / "up", RANK, WIDTH))
        });
        move |m, x: &Tensor| {
            let (backbone, down, up) = &encoders[m];
            (backbone.forward(x) + up.forward(&down.forward(x))).tanh()
        }
    })
}

/// Sets whether the parameters below `paths` require gradients.
fn set_trainable(model: &ClosureStudent, paths: &[&str], trainable: bool) {
    let variables = model.vs.variables();
    for name in names_below(&model.vs, paths) {
        let _ = variables[&name].set_requires_grad(trainable);
    }
}

#[test]
fn adapters_learn_in_stages_and_frozen_backbones_never() {
    let model = model();
    set_trainable(&model, &BACKBONES, false);
    let (mut trainer, mut optimizer) =
        (trainer(&model, Sequential::new([1])), model.optimizer(0.05));
    for learning in [&["b.down", "b.up", "head"][..], &["a.down", "a.up", "b.down", "b.up", "head"]]
    {
        let found = changed(&mut trainer, &model, &model.vs, &mut optimizer, &model.batch());
        assert_eq!(found, names_below(&model.vs, learning));
        trainer.end_epoch().unwrap();
    }
}

/// The optimizer has momentum and the last gradients are still defined when the backbones are
/// frozen.
#[test]
fn a_backbone_frozen_during_training_is_not_updated_from_then_on() {
    let model = model();
    let (mut trainer, mut optimizer) =
        (trainer(&model, Sequential::new([1])), model.optimizer(0.05));
    trainer.step(&model, &model.batch()).unwrap();
    trainer.end_epoch().unwrap();
    let all = changed(&mut trainer, &model, &model.vs, &mut optimizer, &model.batch());
    assert_eq!(all, names_below(&model.vs, &["a", "b", "head"]));
    set_trainable(&model, &BACKBONES, false);
    let found = changed(&mut trainer, &model, &model.vs, &mut optimizer, &model.batch());
    assert_eq!(found, names_below(&model.vs, &["a.down", "a.up", "b.down", "b.up", "head"]));
}

/// libtorch updates a frozen parameter whose old gradient is defined.
#[test]
fn a_suppressed_encoder_has_no_gradient_in_layers_frozen_since_the_last_step() {
    let model = model();
    let mut optimizer = model.optimizer(0.05);
    let joint = model.builder().scheduler(FixedKappa(vec![1.0, 1.0])).build(&model);
    joint.unwrap().step(&model, &model.batch()).unwrap();
    set_trainable(&model, &["a.backbone"], false);
    let before = values(&model.vs);
    trainer(&model, Sequential::new([1])).step(&model, &model.batch()).unwrap(); // no zero_grad
    optimizer.step();
    for (name, value) in with_prefix(&values(&model.vs), "a") {
        assert!(value.equal(&before[&name]), "{name} changed");
    }
}

#[test]
fn a_backbone_unfrozen_during_training_obeys_the_plan() {
    for (suppression, zeros) in
        [(Suppression::SkipBackward, false), (Suppression::ZeroGradient(GradientScope::All), true)]
    {
        let model = model();
        set_trainable(&model, &BACKBONES, false);
        let builder = model.builder().scheduler(FixedKappa(vec![0.0, 1.0]));
        let mut trainer = builder.suppression(suppression).build(&model).unwrap();
        trainer.step(&model, &model.batch()).unwrap();
        assert!(!gradients(&model.vs).contains_key("a.backbone.weight"));
        set_trainable(&model, &BACKBONES, true);
        model.optimizer(0.05).zero_grad();
        trainer.step(&model, &model.batch()).unwrap();
        let found = gradients(&model.vs);
        assert!(found["b.backbone.weight"].abs().max().double_value(&[]) > 0.0);
        let suppressed = found.get("a.backbone.weight");
        assert_eq!(suppressed.is_some(), zeros);
        let is_zero = |g: &Tensor| g.abs().max().double_value(&[]) == 0.0;
        assert!(suppressed.is_none_or(is_zero), "{suppression:?}");
    }
}
