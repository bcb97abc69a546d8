//! Flags of missing modalities that fit no batch.

use g2d::{Batch, Error, evaluate, loss::Classification};

use crate::support::{Tiny, assert_same, gradients, mismatch, values};

#[track_caller]
fn refuses(words: &[&str], spoil: fn(Batch) -> Batch) -> Error {
    let student = Tiny::linear(2);
    let before = values(&student.vs);
    let batch = || spoil(student.batch(3, 0.0));
    mismatch(evaluate(&student, [Ok(batch())]).map(drop), words);
    let mut trainer = student.taught(Classification::default()).build(&student).unwrap();
    let error = mismatch(trainer.step(&student, &batch()), words);
    assert_same(&values(&student.vs), &before);
    assert!(gradients(&student.vs).is_empty());
    assert_eq!(trainer.progress().total_steps, 0);
    error
}

#[test]
fn flags_are_one_a_sample() {
    let words = ["flags of modality \"m1\"", "3, one per sample", "found 2"];
    let error = refuses(&words, |batch| batch.with_present(1, [true, false]));
    assert!(matches!(error, Error::Shape(_)));
    refuses(&["flags of modality \"m0\"", "found 4"], |batch| batch.with_present(0, [true; 4]));
    let student = Tiny::linear(2);
    let batch = student.batch(3, 0.0).with_present(1, [true]);
    let found = g2d::teacher::Cached::record(&student.teacher(1, 4).0, 1, [Ok(batch)]);
    mismatch(found, &["flags", "3, one per sample", "found 1"]);
}

#[test]
fn flags_are_of_a_modality_that_there_is() {
    let words = ["with_present", "below 2", "found 2", "from 0"];
    let error = refuses(&words, |batch| batch.with_present(2, [true; 3]));
    assert!(matches!(error, Error::Config(_)));
}

#[test]
fn every_sample_has_a_modality() {
    let words = ["sample 1", "at least one of [\"m0\", \"m1\"]", "none", "leave out"];
    let error = refuses(&words, |batch| {
        batch.with_present(0, [true, false, false]).with_present(1, [true, false, true])
    });
    assert!(matches!(error, Error::Config(_)));
}
