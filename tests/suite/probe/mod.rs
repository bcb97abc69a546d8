//! The measurements of the probes against values computed by hand or by NumPy: one file per probe.
//!
//! - `unimodal_heads.rs`: the probes that read unimodal logits.
//! - `held_out.rs`: measurements on held-out data.
//! - `saved_state.rs`: probes that are restored in the middle of an epoch.
//! - `identity_student.rs`: a student whose features are its inputs, for short NumPy code.

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

/// The value of `metric` of a modality.
fn value(found: &[Measurement], metric: &str, modality: &str) -> f64 {
    let is = |m: &&Measurement| {
        m.metric == metric && m.modality.as_ref().is_some_and(|name| name.name() == modality)
    };
    found.iter().find(is).unwrap_or_else(|| panic!("no {metric} of {modality}")).value
}

/// The value of `metric` of the whole model.
fn model_value(found: &[Measurement], metric: &str) -> f64 {
    let is = |m: &&Measurement| m.metric == metric && m.modality.is_none();
    found.iter().find(is).unwrap_or_else(|| panic!("no {metric}")).value
}

/// The sum of all elements of `map`, applied to each tensor of a snapshot.
fn sum(snapshot: &Snapshot, map: impl Fn(&str, &Tensor) -> Tensor) -> f64 {
    snapshot.iter().map(|(name, t)| map(name, t).sum(Kind::Double).double_value(&[])).sum()
}
