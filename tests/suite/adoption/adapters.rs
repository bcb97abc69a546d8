//! Frozen backbones with low-rank adapters; layers frozen and unfrozen while training goes on.

use std::collections::BTreeSet;

use g2d::{
    Batch, G2dTrainer, Modality, ModalityParams, Result, Student,
    loss::Classification,
    schedule::Sequential,
    trainer::{GradientScope, Suppression},
};
use tch::{Device, Tensor, nn, nn::Module, nn::OptimizerConfig};

use super::{labels, moved, teacher};
use crate::support::{CLASSES, INPUT, Kappa, WIDTH, fill, gradients, values, wave};

const RANK: i64 = 2;

/// W·x + up(down(x)), with a W that was trained elsewhere.
struct Adapted {
    backbone: nn::Linear,
    down: nn::Linear,
    up: nn::Linear,
}

struct Model {
    vs: nn::VarStore,
    names: Vec<Modality>,
    encoders: [Adapted; 2],
    head: nn::Linear,
}

impl Model {
    /// Everything learns until [`Model::learns`] says otherwise.
    fn new() -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let linear = |path, from, to| nn::linear(path, from, to, Default::default());
        let encoders = ["a", "b"].map(|name| Adapted {
            backbone: linear(&root / name / "backbone", INPUT, WIDTH),
            down: linear(&root / name / "down", INPUT, RANK),
            up: linear(&root / name / "up", RANK, WIDTH),
        });
        let head = linear(&root / "head", 2 * WIDTH, CLASSES);
        vs.double();
        fill(&vs, 0.8);
        Self { vs, names: Modality::list(["a", "b"]), encoders, head }
    }

    /// Freezes or unfreezes all parameters below `path`.
    fn learns(&self, path: &str, yes: bool) {
        for (_, tensor) in self.below(path) {
            let _ = tensor.set_requires_grad(yes);
        }
    }

    fn below(&self, path: &str) -> Vec<(String, Tensor)> {
        let own = |(name, _): &(String, Tensor)| name.starts_with(&format!("{path}."));
        let found: Vec<_> = self.vs.variables().into_iter().filter(own).collect();
        assert!(!found.is_empty());
        found
    }

    fn names(&self, paths: &[&str]) -> BTreeSet<String> {
        paths.iter().flat_map(|path| self.below(path)).map(|(name, _)| name).collect()
    }

    fn optimizer(&self) -> nn::Optimizer {
        let sgd = nn::Sgd { momentum: 0.9, wd: 0.1, ..Default::default() };
        sgd.build(&self.vs, 0.05).unwrap()
    }

    fn params(&self) -> ModalityParams {
        ModalityParams::by_name(&self.vs, &self.names).unwrap()
    }

    fn batch(&self) -> Batch {
        Batch::new([wave(0.0, &[6, INPUT]), wave(50.0, &[6, INPUT])], labels(6))
    }
}

impl Student for Model {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        let Adapted { backbone, down, up } = &self.encoders[m];
        let x = batch.input(m);
        Ok((backbone.forward(x) + up.forward(&down.forward(x))).tanh())
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}

/// A trainer whose first epoch is b's alone, the second everybody's.
fn staged(model: &Model) -> G2dTrainer {
    G2dTrainer::builder(Classification::default())
        .encoders(model.params())
        .teacher(teacher("a", 3.0, WIDTH))
        .teacher(teacher("b", 1.0, WIDTH))
        .scheduler(Sequential::new([1]))
        .build(model)
        .unwrap()
}

#[test]
fn adapters_learn_in_turn_and_frozen_backbones_never() {
    let model = Model::new();
    ["a.backbone", "b.backbone"].iter().for_each(|path| model.learns(path, false));
    let (mut trainer, mut optimizer) = (staged(&model), model.optimizer());
    for learns in [&["b.down", "b.up", "head"][..], &["a.down", "a.up", "b.down", "b.up", "head"]] {
        let moved = moved(&mut trainer, &model, &model.vs, &mut optimizer, &model.batch());
        assert_eq!(moved, model.names(learns));
        trainer.end_epoch().unwrap();
    }
}

/// Momentum is full and the last gradients are still there when the backbones are frozen.
#[test]
fn a_backbone_frozen_on_the_way_stands_still_from_then_on() {
    let model = Model::new();
    let (mut trainer, mut optimizer) = (staged(&model), model.optimizer());
    trainer.step(&model, &model.batch()).unwrap();
    trainer.end_epoch().unwrap();
    let all = moved(&mut trainer, &model, &model.vs, &mut optimizer, &model.batch());
    assert_eq!(all, model.names(&["a", "b", "head"]));
    ["a.backbone", "b.backbone"].iter().for_each(|path| model.learns(path, false));
    let found = moved(&mut trainer, &model, &model.vs, &mut optimizer, &model.batch());
    assert_eq!(found, model.names(&["a.down", "a.up", "b.down", "b.up", "head"]));
}

/// libtorch steps a frozen parameter whose old gradient is defined; a suppressed encoder's is not.
#[test]
fn a_suppressed_encoder_leaves_no_gradient_in_layers_frozen_meanwhile() {
    let model = Model::new();
    let mut optimizer = model.optimizer();
    let mut joint = G2dTrainer::builder(Classification::default())
        .encoders(model.params())
        .scheduler(Kappa(vec![1.0, 1.0]))
        .build(&model)
        .unwrap();
    joint.step(&model, &model.batch()).unwrap();
    model.learns("a.backbone", false);
    let before = values(&model.vs);
    staged(&model).step(&model, &model.batch()).unwrap(); // without zero_grad
    optimizer.step();
    for (name, value) in model.below("a") {
        assert!(value.equal(&before[&name]), "{name} moved");
    }
}

/// Gradual unfreezing: what was frozen when the trainer was built obeys the plan once it learns.
#[test]
fn a_backbone_unfrozen_on_the_way_is_its_modality_s() {
    for (suppression, zeros) in
        [(Suppression::SkipBackward, false), (Suppression::ZeroGradient(GradientScope::All), true)]
    {
        let model = Model::new();
        ["a.backbone", "b.backbone"].iter().for_each(|path| model.learns(path, false));
        let mut trainer = G2dTrainer::builder(Classification::default())
            .encoders(model.params())
            .scheduler(Kappa(vec![0.0, 1.0]))
            .suppression(suppression)
            .build(&model)
            .unwrap();
        trainer.step(&model, &model.batch()).unwrap();
        assert!(!gradients(&model.vs).contains_key("a.backbone.weight"));
        ["a.backbone", "b.backbone"].iter().for_each(|path| model.learns(path, true));
        model.optimizer().zero_grad();
        trainer.step(&model, &model.batch()).unwrap();
        let found = gradients(&model.vs);
        assert!(found["b.backbone.weight"].abs().max().double_value(&[]) > 0.0);
        let waits = found.get("a.backbone.weight");
        assert_eq!(waits.is_some(), zeros);
        assert!(waits.is_none_or(|g| g.abs().max().double_value(&[]) == 0.0), "{suppression:?}");
    }
}
