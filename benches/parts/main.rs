//! The parts of a step, timed one by one with Criterion: `cargo xtask bench --parts`.
//!
//! - `step.rs`: loss, ρ, plan, cache lookup, fusion.
//! - `optimizer.rs`: the optimizers of g2d and tch.
//! - `data.rs`: decoding, spectrograms, resizing.

#[path = "../support/cremad_files.rs"]
mod cremad_files;
mod data;
mod optimizer;
mod step;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

fn short() -> Criterion {
    Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = parts;
    config = short();
    targets = step::loss, step::confidence, step::plan, step::cache, step::fusion, optimizer::sgd,
        optimizer::adamw, data::sound, data::picture, data::loader
}
criterion_main!(parts);
