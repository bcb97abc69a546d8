//! What the tests share.
//!
//! - `tiny.rs`: students, teachers and batches, the same for the same seed.
//! - `bent.rs`: parts that misbehave or say always the same.
//! - `told.rs`: teachers whose ρ is what the test says.
//! - `asserts.rs`: snapshots, numbers, and errors with their words.

mod asserts;
mod bent;
mod tiny;
mod told;

pub use asserts::{
    assert_close, assert_number, assert_same, below, gradients, mismatch, refused, values,
};
pub use bent::{Bent, BentTeacher, Kappa};
pub use tiny::{CLASSES, INPUT, Tiny, WIDTH, answers, names, wave};
pub use told::Rho;
