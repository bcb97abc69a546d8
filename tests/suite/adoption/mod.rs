//! Models of other shapes, trained for a few steps in a loop like a user's.
//!
//! - `shared_parameters.rs`: a trunk and an embedding that two modalities share.
//! - `sequences.rs`: encoders that return [B, T, d], padding masks, a transformer across
//!   modalities.
//! - `interacting.rs`: encoders that exchange information; a single forward pass.
//! - `adapters.rs`: frozen backbones with low-rank adapters; layers frozen and unfrozen during
//!   training.
//! - `optimizers.rs`: gradient clipping and parameter groups.
//! - `quickstart.rs`: the quickstart uses g2d in at most 30 lines; `adopt.rs`: a large application in 100.
//! - `downstream_crate.rs`: a downstream crate builds, and its binary starts.

mod adapters;
mod adopt;
mod downstream_crate;
mod interacting;
mod optimizers;
mod quickstart;
mod sequences;
mod shared_parameters;

use std::collections::BTreeSet;

use g2d::{Batch, G2dTrainer, Student, teacher::FrozenModel};
use tch::{Device, Kind, nn};

use crate::support::{CLASSES, ClosureStudent, WIDTH, labels, values, wave};

/// A teacher with features [B, width] that predicts the [`labels`]; its confidence grows with
/// `strength`.
fn teacher(modality: &str, strength: f64, width: i64) -> FrozenModel {
    let mut vs = nn::VarStore::new(Device::Cpu);
    FrozenModel::new(modality, &mut vs, move |input, _train| {
        let rows = input.size()[0];
        let logits = labels(rows).one_hot(CLASSES).to_kind(Kind::Double) * strength;
        (wave(strength, &[rows, width]), logits)
    })
}

/// A trainer with a stronger teacher for the student's first modality than for the second.
fn trainer(model: &ClosureStudent, scheduler: impl g2d::SmpScheduler + 'static) -> G2dTrainer {
    let [first, second] = [&model.names[0], &model.names[1]];
    model
        .builder()
        .teacher(teacher(first.name(), 3.0, WIDTH))
        .teacher(teacher(second.name(), 1.0, WIDTH))
        .scheduler(scheduler)
        .build(model)
        .unwrap()
}

/// Makes two steps and returns the names of the variables that changed.
fn changed(
    trainer: &mut G2dTrainer,
    student: &dyn Student,
    vs: &nn::VarStore,
    optimizer: &mut nn::Optimizer,
    batch: &Batch,
) -> BTreeSet<String> {
    let before = values(vs);
    for _ in 0..2 {
        optimizer.zero_grad();
        trainer.step(student, batch).unwrap();
        optimizer.step();
    }
    let changed = values(vs).into_iter().filter(|(name, value)| !value.equal(&before[name]));
    changed.map(|(name, _)| name).collect()
}

/// The names of all variables below these paths.
fn names_below(vs: &nn::VarStore, paths: &[&str]) -> BTreeSet<String> {
    let below = |name: &String| paths.iter().any(|path| name.starts_with(&format!("{path}.")));
    vs.variables().into_keys().filter(below).collect()
}
