//! Optimizers: groups, frozen and suppressed parameters, clipping, unsupported tensors.
//!
//! - `reference_values.rs`: a hundred steps of every algorithm against PyTorch.
//! - `saved_state.rs`: their state in files.
//! - `groups.rs`: groups by path and by predicate.
//! - `lr_schedule.rs`, `plateau.rs`: learning rates.

mod groups;
mod lr_schedule;
mod plateau;
mod reference_values;
mod saved_state;

use g2d::{
    loss::Classification,
    optim::{
        AdamConfig, AdamWConfig, Algorithm, Anneal, ApplyGradients, Decay, LrSchedule, Optimizer,
        SgdConfig,
    },
    schedule::Sequential,
};
use tch::{Device, Kind, Tensor, nn};

use crate::support::{FixedKappa, Tiny, assert_error, assert_mismatch, assert_same, values};

/// The two parameters of tests/python/optimizers.py.
pub struct Small {
    pub vs: nn::VarStore,
    pub w: Tensor,
    pub b: Tensor,
}

impl Small {
    pub fn new(kind: Kind) -> Self {
        let mut vs = nn::VarStore::new(Device::Cpu);
        vs.set_kind(kind);
        let w = vs.root().var_copy("w", &tensor(&[-0.2, -0.1, 0.0, 0.1, 0.2, 0.3], &[3, 2], kind));
        let b = (vs.root() / "other").var_copy("b", &tensor(&[1.0, -1.0, 0.5], &[3], kind));
        Self { vs, w, b }
    }

    pub fn backward(&self, step: u64) {
        let kind = self.w.kind();
        let mut loss =
            (&self.w - 1.0).square().sum(kind) + self.w.pow_tensor_scalar(4).sum(kind) * 0.1;
        if step % 3 == 1 {
            loss += (&self.b + self.w.sum(kind)).square().sum(kind);
        }
        loss.backward();
    }

    pub fn run(&self, optimizer: &mut Optimizer, steps: std::ops::Range<u64>) {
        let schedule = LrSchedule::step(30, 0.5).warmup(5);
        for step in steps {
            optimizer.set_lr_factor(schedule.factor(step)).unwrap();
            optimizer.zero_grad().unwrap();
            self.backward(step);
            optimizer.step().unwrap();
        }
    }

    pub fn numbers(&self) -> Vec<f64> {
        let all = Tensor::cat(&[self.w.flatten(0, -1), self.b.shallow_clone()], 0);
        Vec::try_from(all.detach().to_kind(Kind::Double)).unwrap()
    }
}

fn tensor(values: &[f64], shape: &[i64], kind: Kind) -> Tensor {
    Tensor::from_slice(values).reshape(shape).to_kind(kind)
}

#[test]
fn every_group_has_its_own_algorithm_and_an_invalid_one_is_an_error() {
    let small = Small::new(Kind::Double);
    let sgd = SgdConfig { lr: 0.5, ..Default::default() };
    let mut optimizer = Optimizer::builder(&small.vs, sgd)
        .group("other", SgdConfig { lr: 0.0, ..sgd })
        .build()
        .unwrap();
    let before = small.numbers();
    optimizer.set_lr_factor(0.5).unwrap();
    assert_eq!(optimizer.lr().collect::<Vec<_>>(), [("", 0.25), ("other", 0.0)]);
    small.backward(1);
    let gradient = Vec::<f64>::try_from(small.w.grad().flatten(0, -1)).unwrap();
    optimizer.step().unwrap();
    let after = small.numbers();
    for i in 0..6 {
        assert_eq!(after[i], before[i] - 0.25 * gradient[i]);
    }
    assert_eq!(after[6..], before[6..]);

    let builder = || Optimizer::builder(&small.vs, sgd);
    assert_mismatch(builder().group("othe", sgd).build(), &["\"othe\"", "whole components"]);
    let overlapping = builder().group("other", sgd).group("other.b", sgd);
    assert_mismatch(overlapping.build(), &["other.b", "one group"]);
    let empty = nn::VarStore::new(Device::Cpu);
    assert_mismatch(Optimizer::builder(&empty, sgd).build(), &["parameters", "none"]);
    for (invalid, word) in [
        (Algorithm::from(SgdConfig { lr: f64::NAN, ..sgd }), "lr"),
        (SgdConfig { momentum: -0.1, ..sgd }.into(), "momentum"),
        (SgdConfig { nesterov: true, ..sgd }.into(), "nesterov"),
        (AdamConfig { betas: [1.0, 0.9], ..Default::default() }.into(), "β₁"),
        (AdamWConfig { weight_decay: f64::INFINITY, ..Default::default() }.into(), "weight_decay"),
    ] {
        assert_mismatch(Optimizer::builder(&small.vs, invalid).build(), &[word]);
    }
}

/// Unlike tch's optimizers, which update a frozen parameter whose old gradient is defined.
#[test]
fn parameters_that_are_frozen_or_have_no_gradient_are_not_updated() {
    let sgd = SgdConfig { lr: 0.1, momentum: 0.9, weight_decay: 0.1, ..Default::default() };
    for algorithm in [Algorithm::from(sgd), AdamWConfig::default().into()] {
        let small = Small::new(Kind::Float);
        let mut optimizer = Optimizer::builder(&small.vs, algorithm).build().unwrap();
        small.run(&mut optimizer, 1..2);
        let before = values(&small.vs);
        let _ = small.w.set_requires_grad(false);
        let _ = small.b.set_requires_grad(false);
        optimizer.step().unwrap();
        assert_same(&values(&small.vs), &before);
        let _ = small.w.set_requires_grad(true);
        optimizer.zero_grad().unwrap();
        optimizer.step().unwrap();
        assert_same(&values(&small.vs), &before);
        small.backward(0);
        optimizer.step().unwrap();
        assert!(!values(&small.vs)["w"].equal(&before["w"]), "unfrozen, it learns again");
    }
}

#[test]
fn parameters_of_another_store_are_updated_under_its_name() {
    let (small, other) = (Small::new(Kind::Double), Small::new(Kind::Double));
    let config = SgdConfig { lr: 0.5, ..Default::default() };
    let mut optimizer = Optimizer::builder(&small.vs, config)
        .with_store("projection", &other.vs)
        .group("projection.other", SgdConfig { lr: 0.0, ..config })
        .build()
        .unwrap();
    let before = other.numbers();
    other.backward(1);
    optimizer.step().unwrap();
    let after = other.numbers();
    assert!(after[..6].iter().zip(&before).all(|(after, before)| after != before));
    assert_eq!(after[6..], before[6..]);
}

#[test]
fn clipping_by_norm_agrees_with_pytorch() {
    let small = Small::new(Kind::Double);
    let optimizer = Optimizer::builder(&small.vs, SgdConfig::default()).build().unwrap();
    assert!(optimizer.clip_grad_norm(1.0).unwrap().is_none(), "no gradient yet");
    small.backward(1);
    let square = |t: &Tensor| t.grad().square().sum(Kind::Double).double_value(&[]);
    let norm = (square(&small.w) + square(&small.b)).sqrt();
    assert!(norm > 2.0);
    for (limit, after) in [(1e9, norm), (2.0, 2.0)] {
        let returned = optimizer.clip_grad_norm(limit).unwrap().unwrap().double_value(&[]);
        assert!((returned - norm).abs() < 1e-12);
        let found = (square(&small.w) + square(&small.b)).sqrt();
        assert!((found - after).abs() < 1e-5 * after, "{found} against {after}");
    }
    assert_mismatch(optimizer.clip_grad_norm(0.0), &["max_norm"]);
}

#[test]
fn a_suppressed_encoder_is_not_updated_and_the_optimizer_agrees_with_tch() {
    let run = |ours: bool| {
        let student = Tiny::conv(2);
        let builder = student.builder_with_teachers(Classification::default());
        let mut trainer = builder.scheduler(Sequential::new([1])).build(&student).unwrap();
        let sgd = SgdConfig { lr: 0.05, momentum: 0.9, weight_decay: 1e-3, ..Default::default() };
        let mut own = Optimizer::builder(&student.vs, sgd).build().unwrap();
        let mut tch =
            nn::OptimizerConfig::build(nn::sgd(0.9, 0.0, 1e-3, false), &student.vs, 0.05).unwrap();
        for epoch in 0..3 {
            for step in 0..3 {
                student.vs.trainable_variables().iter_mut().for_each(Tensor::zero_grad);
                own.zero_grad().unwrap();
                let batch = student.batch(4, (epoch * 3 + step) as f64);
                trainer.step(&student, &batch).unwrap();
                if ours { own.step().unwrap() } else { tch.step() }
            }
            trainer.end_epoch().unwrap();
        }
        values(&student.vs)
    };
    let (ours, theirs) = (run(true), run(false));
    for (name, tensor) in &ours {
        assert!(tensor.allclose(&theirs[name], 1e-5, 1e-7, false), "{name}");
    }
    let student = Tiny::conv(2);
    let builder = student.builder_with_teachers(Classification::default());
    let mut trainer = builder.scheduler(FixedKappa(vec![0.0, 1.0])).build(&student).unwrap();
    let adamw = AdamWConfig { lr: 0.1, weight_decay: 0.1, ..Default::default() };
    let mut optimizer = Optimizer::builder(&student.vs, adamw).build().unwrap();
    let parameters = |prefix: &str| {
        let all = student.vs.variables().into_iter();
        let own = all.filter(|(n, t)| n.starts_with(prefix) && t.requires_grad());
        own.map(|(n, t)| (n, t.detach().copy())).collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = [parameters("m0."), parameters("m1.")];
    trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    optimizer.step().unwrap();
    assert_same(&parameters("m0."), &before[0]);
    assert!(parameters("m1.").iter().all(|(name, t)| !t.equal(&before[1][name])));
}

/// The fused kernels read parameters as contiguous memory.
#[test]
fn parameters_with_gaps_and_sparse_gradients_are_errors() {
    let vs = nn::VarStore::new(Device::Cpu);
    let mut wide = vs.root().zeros("wide", &[4, 4]);
    let mut optimizer = Optimizer::builder(&vs, SgdConfig::default()).build().unwrap();
    let gaps = Tensor::zeros([4, 8], (Kind::Float, Device::Cpu)).slice(1, 0, 8, 2);
    wide.set_data(&gaps);
    wide.sum(Kind::Float).backward();
    assert_error(optimizer.step(), &["step SGD", "view with gaps"]);

    let vs = nn::VarStore::new(Device::Cpu);
    let config = nn::EmbeddingConfig { sparse: true, ..Default::default() };
    let table = nn::embedding(vs.root() / "table", 5, 3, config);
    let mut optimizer = Optimizer::builder(&vs, AdamWConfig::default()).build().unwrap();
    let rows = Tensor::from_slice(&[1_i64, 3]);
    rows.apply(&table).sum(Kind::Float).backward();
    assert_error(optimizer.step(), &["step Adam", "sparse"]);
}

#[test]
fn a_learning_rate_factor_or_schedule_that_is_not_a_number_from_0_is_an_error() {
    let small = Small::new(Kind::Double);
    let config = SgdConfig { lr: 1e200, ..Default::default() };
    let mut optimizer = Optimizer::builder(&small.vs, config).build().unwrap();
    for factor in [f64::NAN, f64::INFINITY, -0.5] {
        assert_mismatch(optimizer.set_lr_factor(factor), &["learning rate factor"]);
    }
    assert_mismatch(optimizer.set_lr_factor(1e200), &["learning rate of group \"\"", "1e200"]);
    assert_eq!(optimizer.lr().next(), Some(("", 1e200)));
    for schedule in [
        LrSchedule::step(3, f64::NAN),
        LrSchedule::step(3, -0.1),
        LrSchedule::cosine(3, f64::INFINITY),
        LrSchedule::polynomial(3, 0.0),
        LrSchedule { decay: one_cycle(0.0, 1.5), ..LrSchedule::constant() },
        LrSchedule { decay: one_cycle(25.0, f64::NAN), ..LrSchedule::constant() },
    ] {
        assert_mismatch(schedule.check(), &["of the learning rate schedule"]);
    }
    LrSchedule::step(3, 1.5).warmup(2).check().unwrap();
    LrSchedule::constant().check().unwrap();
    LrSchedule::one_cycle(10).check().unwrap();
}

fn one_cycle(div_factor: f64, pct_start: f64) -> Decay {
    let final_div_factor = 1e4;
    Decay::OneCycle { steps: 10, pct_start, div_factor, final_div_factor, anneal: Anneal::Cosine }
}

/// They would have one name in a file.
#[test]
fn two_parameters_of_one_name_are_an_error() {
    let vs = nn::VarStore::new(Device::Cpu);
    let other = nn::VarStore::new(Device::Cpu);
    let _ = (vs.root() / "a").zeros("w", &[1]);
    let _ = other.root().zeros("w", &[1]);
    let builder = Optimizer::builder(&vs, SgdConfig::default()).with_store("a", &other);
    assert_mismatch(builder.build(), &["\"a.w\"", "one parameter of this name"]);
}

#[test]
fn an_optimizer_without_its_state_continues_as_a_new_one() {
    let sgd = SgdConfig { lr: 0.1, momentum: 0.9, ..Default::default() };
    let adam = AdamConfig { lr: 0.1, ..Default::default() };
    for config in [Algorithm::from(sgd), Algorithm::from(adam)] {
        let train = |restart: &dyn Fn(&Small, Optimizer) -> Optimizer| {
            let small = Small::new(Kind::Double);
            let mut optimizer = Optimizer::builder(&small.vs, config).build().unwrap();
            small.run(&mut optimizer, 0..5);
            let mut optimizer = restart(&small, optimizer);
            small.run(&mut optimizer, 5..8);
            small.numbers()
        };
        let new = train(&|small, _| Optimizer::builder(&small.vs, config).build().unwrap());
        let restarted = train(&|_, mut optimizer| {
            ApplyGradients::restart(&mut optimizer).unwrap();
            optimizer
        });
        let kept = train(&|_, optimizer| optimizer);
        assert_eq!(restarted, new);
        assert_ne!(restarted, kept);
    }
}

#[test]
fn an_optimizer_of_tch_cannot_restart() {
    let tiny = Tiny::linear(2);
    let mut optimizer = tiny.optimizer();
    assert_mismatch(ApplyGradients::restart(&mut optimizer), &["g2d::optim::Optimizer"]);
    assert_mismatch(ApplyGradients::set_lr_factor(&mut optimizer, 0.5), &["learning rate factor"]);
}
