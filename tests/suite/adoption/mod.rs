//! Small adopters: models of other shapes, trained a few steps in a loop like a user's.
//!
//! - `shared_parameters.rs`: a trunk and an embedding that two modalities share.
//! - `sequences.rs`: encoders that return [B, T, d], padding masks, a transformer across modalities.
//! - `adapters.rs`: frozen backbones with low-rank adapters; freezing and unfreezing on the way.
//! - `optimizers.rs`: gradient clipping and several groups.
//! - `quickstart.rs`: adopting g2d stays within 30 lines.
//! - `downstream_crate.rs`: a downstream crate is built, and its binary started.

mod adapters;
mod downstream_crate;
mod optimizers;
mod quickstart;
mod sequences;
mod shared_parameters;

use std::collections::BTreeSet;

use g2d::{Batch, G2dTrainer, Student, teacher::FrozenModel};
use tch::{Device, Kind, Tensor, nn};

use crate::support::{CLASSES, values, wave};

/// Labels 0, 1, 2, 0, ….
fn labels(rows: i64) -> Tensor {
    Tensor::arange(rows, (Kind::Int64, Device::Cpu)).remainder(CLASSES)
}

/// A teacher that knows the [`labels`], the better the larger `strength` is, with features [B, width].
fn teacher(modality: &str, strength: f64, width: i64) -> FrozenModel {
    let mut vs = nn::VarStore::new(Device::Cpu);
    FrozenModel::new(modality, &mut vs, move |input, _train| {
        let rows = input.size()[0];
        let logits = labels(rows).one_hot(CLASSES).to_kind(Kind::Double) * strength;
        (wave(strength, &[rows, width]), logits)
    })
}

/// Two steps in a user's loop; the names of the variables whose bits changed.
fn moved(
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

/// The names of all variables with one of these first components.
fn under(vs: &nn::VarStore, roots: &[&str]) -> BTreeSet<String> {
    let root = |name: &String| roots.contains(&name.split('.').next().unwrap());
    vs.variables().into_keys().filter(root).collect()
}
