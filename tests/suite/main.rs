//! The crate's tests in one binary, so that libtorch is linked once.
//!
//! - `support/`: tiny students, teachers and batches for any number of modalities.
//! - `contracts/`: what each trait promises, over every implementation.
//! - `loss.rs`, `confidence.rs`, `schedules.rs`: numbers against PyTorch and plans by hand.
//! - `step.rs`, `suppression.rs`, `zero_gradient.rs`, `modulation.rs`: what a step does to
//!   parameters and gradients.
//! - `accumulation.rs`, `precision.rs`, `non_finite.rs`: windows, autocast, what is skipped.
//! - `optim/`: optimizers and learning rates, against PyTorch.
//! - `stages.rs`: schedules through the trainer: who learns, bit by bit.
//! - `missing/`: samples that lack a modality, against the subset by hand.
//! - `errors/`, `configuration.rs`: every refusal, its words, and that it changed nothing.
//! - `settings.rs`: what is read from and written to TOML and JSON.
//! - `foreign/`: the same from a stranger: never a panic.
//! - `panics.rs`, `waits.rs`: what unwinds through a step, and how often it reads the device.
//! - `properties/`: any trainer, any batches, anything wrong: an error, a skip, or the plan.
//! - `caching/`: teachers' answers on disk: exact, bound, and refused when altered.
//! - `checkpoint/`: snapshots: a run goes on bit by bit, or is refused.
//! - `torchscript.rs`: teachers from Python, against PyTorch.
//! - `teaching.rs`: teachers trained, what is kept, what is refused.
//! - `probes/`: what they measure, against NumPy and by hand; `diagnosis.rs`: what is made of it.
//! - `adopters/`: models of other shapes in a loop like a user's.
//! - `records.rs`, `data.rs`: files out and in. `record/`: several recorders, run folders, TensorBoard,
//!   plots and report.
//! - `quickstart.rs`: adopting g2d stays within 30 lines.
//! - `supply.rs`: the minimum supported Rust beside the dependencies'.
//! - `template.rs`: a downstream crate is built, and its binary started.

mod accumulation;
mod adopters;
mod caching;
#[cfg(all(feature = "paper", feature = "report"))]
mod checkpoint;
#[cfg(feature = "report")]
#[path = "../common/mod.rs"]
mod common;
mod confidence;
mod configuration;
mod contracts;
#[cfg(feature = "paper")]
mod data;
mod diagnosis;
mod errors;
mod foreign;
mod loss;
mod missing;
mod modulation;
mod non_finite;
mod optim;
mod panics;
mod precision;
mod probes;
mod properties;
mod quickstart;
#[cfg(feature = "report")]
mod record;
mod records;
mod schedules;
mod settings;
mod stages;
mod step;
mod supply;
mod support;
mod suppression;
mod teaching;
mod template;
mod torchscript;
mod waits;
mod zero_gradient;
