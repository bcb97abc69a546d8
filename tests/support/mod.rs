//! What the test binaries share.
//!
//! - `tiny.rs`: students, teachers and batches, the same for the same seed.
//! - `misbehaving.rs`: parts that misbehave or say always the same.
//! - `fixed_confidence.rs`: teachers whose ρ is what the test says.
//! - `fuzz.rs`: how many cases a property is tried on, and how bytes are spoilt.
//! - `asserts.rs`: snapshots, numbers, and errors with their words.
//! - `data_set.rs`: tiny data sets in temporary folders.
//! - `synchronisation.rs`: counts reads that synchronise with a device.
//! - `alone.rs`: a test in a process of its own.
//! - `python.rs`, `skip.rs`: what runs only where something is installed.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod alone;
mod asserts;
mod data_set;
mod fixed_confidence;
mod fuzz;
mod misbehaving;
mod python;
mod skip;
mod synchronisation;
mod tiny;

pub use alone::alone;
pub use asserts::{
    Snapshot, assert_close, assert_close_to, assert_near, assert_number, assert_same,
    assert_same_batch, below, config, gradients, message, mismatch, numbers, refused, same, values,
};
pub use data_set::{Set, shared};
pub use fixed_confidence::Rho;
pub use fuzz::{Spoil, fuzz, spoil};
pub use misbehaving::{Bent, BentTeacher, Kappa};
pub use python::{python, script, stdout};
pub use skip::skipped;
pub use synchronisation::count_synchronisations;
pub use tiny::{CLASSES, INPUT, Tiny, WIDTH, answers, fill, names, wave};
