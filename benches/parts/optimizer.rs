//! The optimizers of g2d and tch, on the parameters of the CREMA-D student.

use criterion::Criterion;
use g2d::{
    Modality,
    optim::{AdamWConfig, Algorithm, Optimizer, SgdConfig},
    paper::networks::{ClassifierConfig, FusionClassifier, FusionKind},
};
use tch::{
    Device,
    nn::{self, OptimizerConfig, VarStore},
};

/// The student's parameters, with gradients.
fn parameters() -> VarStore {
    let vs = VarStore::new(Device::Cpu);
    let modalities = [("audio", 1), ("visual", 3)].map(|(m, c)| (Modality::new(m), c));
    FusionClassifier::new(&vs, &modalities, 6, ClassifierConfig::authors(FusionKind::Late))
        .unwrap();
    for parameter in vs.trainable_variables() {
        (&parameter * 1e-3).sum(parameter.kind()).backward();
    }
    vs
}

/// Times one step of both optimizers.
fn compare(c: &mut Criterion, name: &str, ours: Algorithm, theirs: impl OptimizerConfig) {
    let vs = parameters();
    let mut ours = Optimizer::builder(&vs, ours).build().unwrap();
    c.bench_function(&format!("{name}/g2d"), |b| b.iter(|| ours.step().unwrap()));
    let vs = parameters();
    let mut theirs = theirs.build(&vs, 1e-6).unwrap();
    c.bench_function(&format!("{name}/tch"), |b| b.iter(|| theirs.step()));
}

pub fn sgd(c: &mut Criterion) {
    let ours = SgdConfig { lr: 1e-6, momentum: 0.9, weight_decay: 1e-4, ..Default::default() };
    let theirs = nn::Sgd { momentum: 0.9, dampening: 0.0, wd: 1e-4, nesterov: false };
    compare(c, "sgd", ours.into(), theirs);
}

pub fn adamw(c: &mut Criterion) {
    let ours = AdamWConfig { lr: 1e-6, weight_decay: 1e-2, ..Default::default() };
    let theirs = nn::AdamW { beta1: 0.9, beta2: 0.999, wd: 1e-2, eps: 1e-8, amsgrad: false };
    compare(c, "adamw", ours.into(), theirs);
}
