//! Encoders that exchange information in the middle: `encode` ends where they first meet, `fuse` contains
//! the exchange and the later stages, which still belong to their modalities.

use std::collections::BTreeSet;

use g2d::{
    Batch, Features, G2dTrainer, ModalityParams, Student,
    loss::{Classification, Distillation},
    optim::{Optimizer, SgdConfig},
    student::Closures,
    trainer::{Builder, GradientScope, Suppression},
};
use tch::{Device, Kind, Tensor, nn};

use super::names_below;
use crate::support::{
    CLASSES, FixedKappa, INPUT, Snapshot, WIDTH, assert_close, fill, gradients, labels, values,
    wave, with_prefix,
};

/// Two stages for each modality, with an exchange between them.
struct Layers {
    vs: nn::VarStore,
    first: [nn::Linear; 2],
    exchange: [nn::Linear; 2],
    second: [nn::Linear; 2],
    head: nn::Linear,
}

impl Layers {
    fn new() -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        let root = vs.root();
        let linear = |path, from, to| nn::linear(path, from, to, Default::default());
        let layers = Self {
            first: ["a", "b"].map(|m| linear(&root / m / "first", INPUT, WIDTH)),
            exchange: ["a", "b"].map(|m| linear(&root / "exchange" / m, WIDTH, WIDTH)),
            second: ["a", "b"].map(|m| linear(&root / m / "second", WIDTH, WIDTH)),
            head: linear(&root / "head", 2 * WIDTH, CLASSES),
            vs: nn::VarStore::new(Device::Cpu),
        };
        vs.double();
        fill(&vs, 0.6);
        Self { vs, ..layers }
    }

    /// The second stage of modality `m`, which has received `from` the other one.
    fn later(&self, m: usize, own: &Tensor, from: Option<&Tensor>) -> Tensor {
        let received = from.map(|other| other.apply(&self.exchange[1 - m]));
        let mixed = received.map_or_else(|| own.shallow_clone(), |received| own + received);
        mixed.apply(&self.second[m]).tanh()
    }

    fn student(&self) -> Closures<'_> {
        let alone = |m: usize| move |own: &Tensor, _: &Features<'_>| Ok(self.later(m, own, None));
        Closures::builder()
            .encoder("a", |input, _train| Ok(input.apply(&self.first[0]).tanh()))
            .encoder("b", |input, _train| Ok(input.apply(&self.first[1]).tanh()))
            .fusion(|features, _train| {
                let a = self.later(0, &features[0], Some(&features[1]));
                let b = self.later(1, &features[1], Some(&features[0]));
                Ok(Tensor::f_cat(&[a, b], 1)?.apply(&self.head))
            })
            .distilled("a", alone(0))
            .distilled("b", alone(1))
            .build()
            .unwrap()
    }

    fn builder(&self, student: &dyn Student, kappa: [f64; 2]) -> Builder {
        let params = ModalityParams::by_name(&self.vs, student.modalities()).unwrap();
        let builder = G2dTrainer::builder(Classification::new(Distillation::none()));
        builder.encoders(params).scheduler(FixedKappa(kappa.to_vec()))
    }
}

fn batch(seed: f64) -> Batch {
    Batch::new([0.0, 50.0].map(|phase| wave(seed + phase, &[6, INPUT])), labels(6))
}

/// The names of the variables that change in two optimizer steps of `window` micro-batches.
fn changed(layers: &Layers, kappa: [f64; 2], window: u64) -> BTreeSet<String> {
    let student = layers.student();
    let mut trainer = layers.builder(&student, kappa).accumulate(window).build(&student).unwrap();
    let sgd = SgdConfig { momentum: 0.9, weight_decay: 0.1, ..SgdConfig::default() };
    let mut optimizer = Optimizer::builder(&layers.vs, sgd).build().unwrap();
    let before = values(&layers.vs);
    for seed in 0..2 * window {
        let report = trainer.step(&student, &batch(seed as f64)).unwrap();
        if report.outcome.is_ready() {
            optimizer.step().unwrap();
            optimizer.zero_grad().unwrap();
        }
    }
    let changed = values(&layers.vs).into_iter().filter(|(name, t)| !t.equal(&before[name]));
    changed.map(|(name, _)| name).collect()
}

#[test]
fn no_stage_of_a_suppressed_encoder_learns_also_with_accumulation() {
    for window in [1, 3] {
        let layers = Layers::new();
        let found = changed(&layers, [0.0, 1.0], window);
        assert_eq!(found, names_below(&layers.vs, &["b", "exchange", "head"]));
        assert!(layers.vs.trainable_variables().iter().all(Tensor::requires_grad));
        let all = names_below(&layers.vs, &["a", "b", "exchange", "head"]);
        assert_eq!(changed(&layers, [1.0, 1.0], window), all);
    }
}

/// The gradients of a step.
fn step(kappa: [f64; 2], suppression: Suppression) -> Snapshot {
    let layers = Layers::new();
    let student = layers.student();
    let builder = layers.builder(&student, kappa).suppression(suppression);
    builder.build(&student).unwrap().step(&student, &batch(0.0)).unwrap();
    gradients(&layers.vs)
}

#[test]
fn a_partial_kappa_scales_all_stages_under_zero_gradient_alone() {
    let joint = step([1.0, 1.0], Suppression::SkipBackward);
    let scaled = step([0.25, 1.0], Suppression::ZeroGradient(GradientScope::All));
    for (name, gradient) in &with_prefix(&joint, "a") {
        assert_close(&scaled[name], &(gradient * 0.25));
    }
    let skipped = step([0.25, 1.0], Suppression::SkipBackward);
    assert_close(&skipped["a.first.weight"], &(&joint["a.first.weight"] * 0.25));
    assert_close(&skipped["a.second.weight"], &joint["a.second.weight"]);
}

#[test]
fn the_gradient_of_the_learning_encoder_is_that_of_the_whole_model() {
    let (joint, suppressed) =
        (step([1.0, 1.0], Suppression::SkipBackward), step([0.0, 1.0], Suppression::SkipBackward));
    assert!(with_prefix(&suppressed, "a").is_empty());
    for prefix in ["b", "exchange", "head"] {
        for (name, gradient) in &with_prefix(&joint, prefix) {
            assert_close(&suppressed[name], gradient);
        }
    }
}

/// A model whose `forward` is not to be divided: `encode` passes the input on.
#[test]
fn a_single_forward_trains_with_parameters_by_path() {
    let layers = Layers::new();
    let forward = |a: &Tensor, b: &Tensor| {
        let [a, b] = [a.apply(&layers.first[0]).tanh(), b.apply(&layers.first[1]).tanh()];
        let both = [layers.later(0, &a, Some(&b)), layers.later(1, &b, Some(&a))];
        Tensor::cat(&both, 1).apply(&layers.head)
    };
    let student = Closures::builder()
        .encoder("a", |input, _train| Ok(input.first().shallow_clone()))
        .encoder("b", |input, _train| Ok(input.first().shallow_clone()))
        .fusion(|features, _train| Ok(forward(&features[0], &features[1])))
        .build()
        .unwrap();
    let gradients_of = |kappa| {
        let mut trainer = layers.builder(&student, kappa).build(&student).unwrap();
        layers.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
        trainer.step(&student, &batch(0.0)).unwrap();
        gradients(&layers.vs)
    };
    for kappa in [[1.0, 1.0], [0.0, 1.0]] {
        let (found, divided) = (gradients_of(kappa), step(kappa, Suppression::SkipBackward));
        assert!(found.keys().eq(divided.keys()), "{kappa:?}");
        for (name, gradient) in &found {
            assert_close(gradient, &divided[name]);
        }
    }
    let logits = g2d::evaluate(&student, [Ok(batch(0.0))]).unwrap().logits;
    assert_eq!((logits.size(), logits.kind()), (vec![6, CLASSES], Kind::Double));
}
