//! What the tests share.
//!
//! - `tiny.rs`: students, teachers and batches, the same for the same seed.
//! - `bent.rs`: parts that misbehave or say always the same.
//! - `told.rs`: teachers whose ρ is what the test says.
//! - `fuzz.rs`: how many cases a property is tried on, and how bytes are spoilt.
//! - `asserts.rs`: snapshots, numbers, and errors with their words.

mod asserts;
mod bent;
mod fuzz;
mod tiny;
mod told;

pub use asserts::{
    Snapshot, assert_close, assert_number, assert_same, below, gradients, mismatch, refused, same,
    values,
};
pub use bent::{Bent, BentTeacher, Kappa};
pub use fuzz::{Spoil, fuzz, spoil};
pub use tiny::{CLASSES, INPUT, Tiny, WIDTH, answers, fill, names, wave};
pub use told::Rho;
