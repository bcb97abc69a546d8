//! Gradient clipping and several groups, beside a suppressed encoder.

use g2d::{Batch, G2dTrainer, Modality, ModalityParams, Result, Student, loss::Classification};
use tch::{Device, Tensor, nn, nn::Module, nn::OptimizerConfig};

use super::{labels, moved};
use crate::support::{
    CLASSES, INPUT, Kappa, Tiny, WIDTH, assert_close, assert_same, below, fill, gradients, values,
    wave,
};

/// A trainer whose m0 waits.
fn stage(student: &Tiny) -> G2dTrainer {
    let builder = student.taught(Classification::default());
    builder.scheduler(Kappa(vec![0.0, 1.0])).build(student).unwrap()
}

/// The coefficient comes from the gradients of what learns.
#[test]
fn clipping_by_norm_leaves_a_suppressed_encoder_alone() {
    let student = Tiny::linear(2);
    let mut optimizer = student.optimizer();
    let before = values(&student.vs);
    for _ in 0..3 {
        optimizer.zero_grad();
        stage(&student).step(&student, &student.batch(4, 0.0)).unwrap();
        let raw = gradients(&student.vs);
        let squares = raw.values().map(|g| g.square().sum(None).double_value(&[]));
        let norm = squares.sum::<f64>().sqrt();
        assert!(norm > 0.1, "there is something to clip");
        optimizer.clip_grad_norm(0.1);
        let clipped = gradients(&student.vs);
        assert!(raw.keys().eq(clipped.keys()) && below(&clipped, "m0").is_empty());
        for (name, gradient) in &clipped {
            assert_close(gradient, &(&raw[name] * (0.1 / (norm + 1e-6))));
        }
        optimizer.step();
    }
    assert_same(&below(&values(&student.vs), "m0"), &below(&before, "m0"));
}

#[test]
fn clipping_by_value_leaves_a_suppressed_encoder_alone() {
    let student = Tiny::linear(2);
    let mut optimizer = student.optimizer();
    optimizer.zero_grad();
    stage(&student).step(&student, &student.batch(4, 0.0)).unwrap();
    let raw = gradients(&student.vs);
    optimizer.clip_grad_value(0.01);
    let clipped = gradients(&student.vs);
    assert!(raw.keys().eq(clipped.keys()) && below(&clipped, "m0").is_empty());
    let changed = raw.iter().filter(|(name, g)| !g.equal(&clipped[*name])).count();
    assert!(changed > 0, "there is something to clip");
    for (name, gradient) in &clipped {
        assert!(gradient.equal(&raw[name].clamp(-0.01, 0.01)), "{name}");
    }
}

/// Encoders in groups 1 and 2 of the optimizer, the head in group 0.
struct Grouped {
    vs: nn::VarStore,
    names: Vec<Modality>,
    encoders: [nn::Linear; 2],
    head: nn::Linear,
}

impl Grouped {
    fn new() -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let encoder = |name: &str, group| {
            nn::linear(root.set_group(group) / name, INPUT, WIDTH, Default::default())
        };
        let encoders = [encoder("a", 1), encoder("b", 2)];
        let head = nn::linear(&root / "head", 2 * WIDTH, CLASSES, Default::default());
        vs.double();
        fill(&vs, 0.9);
        Self { vs, names: Modality::list(["a", "b"]), encoders, head }
    }

    fn trainer(&self, kappa: [f64; 2]) -> G2dTrainer {
        G2dTrainer::builder(Classification::default())
            .encoders(ModalityParams::by_name(&self.vs, &self.names).unwrap())
            .scheduler(Kappa(kappa.to_vec()))
            .build(self)
            .unwrap()
    }

    fn batch(&self) -> Batch {
        Batch::new([wave(0.0, &[6, INPUT]), wave(50.0, &[6, INPUT])], labels(6))
    }
}

impl Student for Grouped {
    fn modalities(&self) -> &[Modality] {
        &self.names
    }

    fn encode(&self, m: usize, batch: &Batch, _train: bool) -> Result<Tensor> {
        Ok(self.encoders[m].forward(batch.input(m)).tanh())
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        Ok(self.head.forward(&Tensor::f_cat(features, 1)?))
    }
}

/// θ ← θ − η_g (g + λ_g θ), each group with its own η and λ.
#[test]
fn every_group_steps_with_its_own_rate_and_decay() {
    let model = Grouped::new();
    let mut optimizer = nn::Sgd::default().build(&model.vs, 0.1).unwrap();
    optimizer.set_lr_group(1, 0.02);
    optimizer.set_lr_group(2, 0.5);
    optimizer.set_weight_decay_group(2, 0.25);
    for (kappa, root) in [([1.0, 1.0], ""), ([0.0, 1.0], "a"), ([1.0, 0.0], "b")] {
        optimizer.zero_grad();
        model.trainer(kappa).step(&model, &model.batch()).unwrap();
        let (before, gradients) = (values(&model.vs), gradients(&model.vs));
        optimizer.step();
        for (name, value) in values(&model.vs) {
            let own = name.split('.').next().unwrap();
            let was = &before[&name];
            if own == root {
                assert!(value.equal(was), "{name} moved");
                continue;
            }
            let (rate, decay) = match own {
                "a" => (0.02, 0.0),
                "b" => (0.5, 0.25),
                _ => (0.1, 0.0),
            };
            assert_close(&value, &(was - rate * (&gradients[&name] + decay * was)));
        }
    }
}

/// A group whose every gradient is undefined is skipped by Adam too, moments and decay included.
#[test]
fn a_group_of_a_suppressed_encoder_is_skipped_by_adam() {
    let model = Grouped::new();
    let mut optimizer = nn::AdamW::default().build(&model.vs, 0.01).unwrap();
    optimizer.set_weight_decay_group(1, 0.5);
    let mut joint = model.trainer([1.0, 1.0]);
    let all = moved(&mut joint, &model, &model.vs, &mut optimizer, &model.batch());
    assert_eq!(all.len(), model.vs.variables().len());
    let mut stage = model.trainer([0.0, 1.0]);
    let found = moved(&mut stage, &model, &model.vs, &mut optimizer, &model.batch());
    assert!(found.iter().all(|name| !name.starts_with("a.")), "{found:?}");
    assert_eq!(found.len(), 4);
}
