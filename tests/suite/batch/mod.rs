//! Batches: invalid presence flags, pinned memory.
//!
//! - `inputs.rs`: inputs of several tensors, and extras; `padding.rs`: tensors of different lengths.

mod inputs;
mod padding;

use g2d::{Batch, Error, evaluate, loss::Classification};

use crate::support::{Tiny, assert_mismatch, assert_same, assert_same_batch, gradients, values};

/// Asserts that `evaluate` and `step` return an error with `words` for the batch that `invalid`
/// makes, and change nothing.
#[track_caller]
fn assert_invalid(words: &[&str], invalid: fn(Batch) -> Batch) -> Error {
    let student = Tiny::linear(2);
    let before = values(&student.vs);
    let batch = || invalid(student.batch(3, 0.0));
    assert_mismatch(evaluate(&student, [Ok(batch())]).map(drop), words);
    let mut trainer =
        student.builder_with_teachers(Classification::default()).build(&student).unwrap();
    let error = assert_mismatch(trainer.step(&student, &batch()), words);
    assert_same(&values(&student.vs), &before);
    assert!(gradients(&student.vs).is_empty());
    assert_eq!(trainer.progress().total_steps, 0);
    error
}

#[test]
fn every_sample_needs_a_presence_flag() {
    let words = ["flags of modality \"m1\"", "3, one per sample", "found 2"];
    let error = assert_invalid(&words, |batch| batch.with_present(1, [true, false]));
    assert!(matches!(error, Error::Shape(_)));
    assert_invalid(&["flags of modality \"m0\"", "found 4"], |batch| {
        batch.with_present(0, [true; 4])
    });
    let student = Tiny::linear(2);
    let batch = student.batch(3, 0.0).with_present(1, [true]);
    let found = g2d::teacher::Cached::record(&student.teacher(1, 4).0, 1, [Ok(batch)]);
    assert_mismatch(found, &["flags", "3, one per sample", "found 1"]);
}

#[test]
fn presence_flags_of_an_unknown_modality_are_invalid() {
    let words = ["with_present", "below 2", "found 2", "from 0"];
    let error = assert_invalid(&words, |batch| batch.with_present(2, [true; 3]));
    assert!(matches!(error, Error::Config(_)));
}

#[test]
fn a_sample_without_any_modality_is_invalid() {
    let words = ["sample 1", "at least one of [\"m0\", \"m1\"]", "none", "leave out"];
    let error = assert_invalid(&words, |batch| {
        batch.with_present(0, [true, false, false]).with_present(1, [true, false, true])
    });
    assert!(matches!(error, Error::Config(_)));
}

#[test]
fn memory_is_pinned_if_there_is_a_gpu() {
    let batch = Tiny::linear(2).batch(3, 0.0).with_ids([5, 6, 7]);
    match batch.pin_memory() {
        Ok(pinned) => assert_same_batch(&pinned, &batch),
        Err(error) => assert!(!tch::Cuda::is_available(), "{error}"),
    }
}
