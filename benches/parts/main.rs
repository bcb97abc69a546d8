//! The parts of a step, each by itself (Criterion): `cargo xtask bench --parts`.
//!
//! - `step.rs`: loss, ρ, plan, cache lookup, fusion.
//! - `optimizer.rs`: ours beside tch's.
//! - `data.rs`: decoding, spectrogram, resizing.

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
