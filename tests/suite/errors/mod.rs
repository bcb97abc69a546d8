//! Every refusal of a step: its words, and that it changed nothing and did not count.
//!
//! - `batches.rs`: inputs, ids and targets.
//! - `models.rs`: what student, teachers and loss answer.
//! - `outside.rs`: caches, evaluation, epochs.

mod batches;
mod models;
mod outside;

use g2d::{Error, G2dTrainer, Result};

use crate::support::{Tiny, assert_same, gradients, mismatch, values};

/// Asserts that `bad` is refused with all of `words` and leaves parameters, gradients and counters as
/// they were.
#[track_caller]
fn refuses<T>(
    student: &Tiny,
    mut trainer: G2dTrainer,
    words: &[&str],
    bad: impl FnOnce(&mut G2dTrainer) -> Result<T>,
) -> Error {
    let before = (values(&student.vs), gradients(&student.vs), trainer.progress());
    let error = mismatch(bad(&mut trainer), words);
    assert_same(&values(&student.vs), &before.0);
    assert_same(&gradients(&student.vs), &before.1);
    assert_eq!(trainer.progress(), before.2, "the step counted");
    error
}
