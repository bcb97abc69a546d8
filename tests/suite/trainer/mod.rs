//! The trainer.
//!
//! - `builder.rs`: invalid configurations; `invalid_input/`: batches, models and caches that are
//!   errors of a step.
//! - `buffers.rs`: buffers and models that are not finite.
//! - `step.rs`, `evaluate.rs`: the results of steps and evaluations.
//! - `scheduling.rs`: the encoders that learn under a scheduler, bit by bit.
//! - `suppression/`: the effect of κ on gradients; `balanced/`: head and ensemble terms, κ on the fused
//!   loss.
//! - `accumulation.rs`, `precision.rs`, `non_finite.rs`: accumulation windows, autocast, skipped
//!   steps.
//! - `missing_modalities/`: samples without a modality.
//! - `synchronisation.rs`: how often a step synchronises with the device; `panics.rs`: panics in
//!   user code.
//! - `tasks.rs`: losses that read extras; `update.rs`: the updates of an optimizer by the trainer.
//! - `unimodal.rs`: the training of teachers; `unimodal/options.rs`: the options of their steps.

mod accumulation;
mod balanced;
mod buffers;
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
mod tasks;
mod unimodal;
mod update;
