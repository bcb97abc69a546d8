//! The trainer.
//!
//! - `builder.rs`: invalid configurations; `invalid_input/`: batches, models and caches that a step
//!   refuses.
//! - `step.rs`, `evaluate.rs`: what a step and an evaluation compute.
//! - `scheduling.rs`: schedules through the trainer: who learns, bit by bit.
//! - `suppression/`: what κ does to gradients.
//! - `accumulation.rs`, `precision.rs`, `non_finite.rs`: windows, autocast, what is skipped.
//! - `missing_modalities/`: samples that lack a modality, against the subset by hand.
//! - `synchronisation.rs`: how often a step reads the device; `panics.rs`: what unwinds through it.
//! - `unimodal.rs`: the training of teachers.

mod accumulation;
mod builder;
mod evaluate;
mod invalid_input;
mod missing_modalities;
mod non_finite;
mod panics;
mod precision;
mod scheduling;
mod step;
mod suppression;
mod synchronisation;
mod unimodal;
