//! What the probes measure, against numbers made by hand or by NumPy.
//!
//! - one file a probe; `unimodal_heads.rs` has those that read unimodal logits.
//! - `held_out.rs`: what is measured on held-out data.
//! - `identity_student.rs`: a student whose features are its inputs.
//! - `saved_state.rs`: a probe that is stopped and restored measures the same bits.

mod confidence_ratio;
mod gradient_cosine;
mod gradient_norm;
mod held_out;
mod identity_student;
mod modality_gap;
mod saved_state;
mod teacher_cka;
mod unimodal_heads;
mod update_ratio;

use g2d::step::Measurement;
use tch::{Kind, Tensor};

use crate::support::Snapshot;

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

/// The sum of all elements of `of` over a snapshot.
fn sum(snapshot: &Snapshot, of: impl Fn(&str, &Tensor) -> Tensor) -> f64 {
    snapshot.iter().map(|(name, t)| of(name, t).sum(Kind::Double).double_value(&[])).sum()
}
