//! What the probes measure, against numbers made by hand or by NumPy.
//!
//! - `plain.rs`: a student whose features are its inputs.
//! - `standing.rs`: norms and teachers' confidence; `heads.rs`, `gradients.rs`, `features.rs`,
//!   `held_out.rs`: the others.
//! - `restored.rs`: a probe that is stopped and restored measures the same bits.

mod features;
mod gradients;
mod heads;
mod held_out;
mod plain;
mod restored;
mod standing;

use g2d::Measurement;

fn value(found: &[Measurement], metric: &str, modality: &str) -> f64 {
    let is = |m: &&Measurement| {
        m.metric == metric && m.modality.as_ref().is_some_and(|name| name.name() == modality)
    };
    found.iter().find(is).unwrap_or_else(|| panic!("no {metric} of {modality}")).value
}

fn alone(found: &[Measurement], metric: &str) -> f64 {
    let is = |m: &&Measurement| m.metric == metric && m.modality.is_none();
    found.iter().find(is).unwrap_or_else(|| panic!("no {metric}")).value
}
