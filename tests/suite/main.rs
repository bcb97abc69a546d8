//! The crate's tests in one binary, so that libtorch is linked once.
//!
//! - `support/`: tiny students, teachers and batches for any number of modalities.
//! - `contracts/`: what each trait promises, over every implementation.
//! - `loss.rs`, `confidence.rs`, `schedules.rs`: numbers against PyTorch and plans by hand.
//! - `step.rs`, `suppression.rs`, `zero_gradient.rs`, `modulation.rs`: what a step does to
//!   parameters and gradients.
//! - `stages.rs`: schedules through the trainer: who learns, bit by bit.
//! - `missing/`: samples that lack a modality, against the subset by hand.
//! - `errors/`, `configuration.rs`: every refusal, its words, and that it changed nothing.
//! - `probes.rs`: what they measure, by hand.
//! - `records.rs`, `data.rs`: files out and in. `record/`: several recorders, run folders, TensorBoard,
//!   plots and report.
//! - `quickstart.rs`: adopting g2d stays within 30 lines.

#[cfg(feature = "report")]
#[path = "../common/mod.rs"]
mod common;
mod confidence;
mod configuration;
mod contracts;
#[cfg(feature = "paper")]
mod data;
mod errors;
mod loss;
mod missing;
mod modulation;
mod probes;
mod quickstart;
#[cfg(feature = "report")]
mod record;
mod records;
mod schedules;
mod stages;
mod step;
mod support;
mod suppression;
mod zero_gradient;
