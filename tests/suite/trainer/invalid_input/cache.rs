//! Samples without cached outputs, and batches that cannot be recorded.

use g2d::{Batch, Error, evaluate, loss::Classification, teacher::Cached};

use super::assert_fails_unchanged;
use crate::support::{Tiny, WIDTH, assert_mismatch, labels, with_targets};

#[test]
fn unknown_samples_of_a_cached_teacher_are_an_error_with_their_ids() {
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let record = |batches: Vec<Batch>| Cached::record(&live, 0, batches.into_iter().map(Ok));
    let cached = record(vec![student.batch(4, 0.0)]).unwrap();
    let trainer = || {
        let builder = student.builder(Classification::default()).teacher(cached.share());
        builder.teacher(student.teacher(1, WIDTH).0).build(&student).unwrap()
    };
    let batch = student.batch(6, 0.0); // ids 100 to 105, of which 104 and 105 are unknown
    let words = ["teacher \"m0\"", "4 recorded", "2 unknown: 104, 105", "record"];
    let error = assert_fails_unchanged(&student, trainer(), &words, |t| t.step(&student, &batch));
    assert!(matches!(error, Error::Cache(_)));
    let many = student.batch(20, 0.0);
    let words = ["16 unknown: 104, 105, 106, 107, 108, 109, 110, 111, …"];
    assert_fails_unchanged(&student, trainer(), &words, |t| t.step(&student, &many));
    let without_ids = with_targets(&student.batch(4, 0.0), labels(4));
    let words = ["teacher \"m0\"", "sample ids", "with_ids"];
    assert_fails_unchanged(&student, trainer(), &words, |t| t.step(&student, &without_ids));
}

#[test]
fn batches_with_invalid_ids_or_outputs_cannot_be_recorded() {
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let record = |batches: Vec<Batch>| Cached::record(&live, 0, batches.into_iter().map(Ok));
    let without_ids = with_targets(&student.batch(4, 0.0), labels(4));
    assert_mismatch(record(vec![without_ids]), &["teacher \"m0\"", "sample ids", "with_ids"]);
    let twice = vec![student.batch(2, 0.0), student.batch(1, 0.0)];
    assert_mismatch(record(twice), &["every sample once", "id 100 twice"]);
    assert_mismatch(record(vec![]), &["at least one batch", "found none"]);
    let short = vec![student.batch(4, 0.0).with_ids([1, 2, 3])];
    assert_mismatch(record(short), &["teacher \"m0\"", "[3, ", "[4, 4]"]);
    let failed = [Ok(student.batch(2, 0.0)), evaluate(&student, []).map(|_| unreachable!())];
    assert_mismatch(Cached::record(&live, 0, failed), &["evaluation"]);
}

/// Otherwise the targets of all later samples would belong to the wrong logits.
#[test]
fn a_batch_with_another_number_of_targets_cannot_be_recorded() {
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let batch = with_targets(&student.batch(4, 0.0), labels(3)).with_ids([1, 2, 3, 4]);
    assert_mismatch(Cached::record(&live, 0, [Ok(batch)]), &["targets", "4", "3"]);
}
