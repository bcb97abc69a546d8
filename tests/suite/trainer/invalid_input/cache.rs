//! Samples that a cached teacher lacks, and batches that cannot be recorded.

use g2d::{Batch, Error, evaluate, loss::Classification, teacher::Cached};
use tch::Tensor;

use super::refuses;
use crate::support::{Tiny, WIDTH, assert_mismatch};

#[test]
fn caches_say_which_samples_they_lack() {
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let record = |batches: Vec<Batch>| Cached::record(&live, 0, batches.into_iter().map(Ok));
    let cached = record(vec![student.batch(4, 0.0)]).unwrap();
    let trainer = || {
        let builder = student.builder(Classification::default()).teacher(cached.share());
        builder.teacher(student.teacher(1, WIDTH).0).build(&student).unwrap()
    };
    let batch = student.batch(6, 0.0); // ids 100 to 105, of which 104 and 105 are new
    let words = ["teacher \"m0\"", "4 recorded", "2 unknown: 104, 105", "record"];
    let error = refuses(&student, trainer(), &words, |t| t.step(&student, &batch));
    assert!(matches!(error, Error::Cache(_)));
    let many = student.batch(20, 0.0);
    let words = ["16 unknown: 104, 105, 106, 107, 108, 109, 110, 111, …"];
    refuses(&student, trainer(), &words, |t| t.step(&student, &many));
    let anonymous = |batch: Batch| {
        let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
        Batch::new(inputs, batch.targets().shallow_clone())
    };
    let batch = anonymous(student.batch(4, 0.0));
    let words = ["teacher \"m0\"", "sample ids", "with_ids"];
    refuses(&student, trainer(), &words, |t| t.step(&student, &batch));

    assert_mismatch(record(vec![batch]), &["teacher \"m0\"", "sample ids", "with_ids"]);
    let twice = vec![student.batch(2, 0.0), student.batch(1, 0.0)];
    assert_mismatch(record(twice), &["every sample once", "id 100 twice"]);
    assert_mismatch(record(vec![]), &["at least one batch", "found none"]);
    let short = vec![student.batch(4, 0.0).with_ids([1, 2, 3])];
    assert_mismatch(record(short), &["teacher \"m0\"", "[3, ", "[4, 4]"]);
    let failed = [Ok(student.batch(2, 0.0)), evaluate(&student, []).map(|_| unreachable!())];
    assert_mismatch(Cached::record(&live, 0, failed), &["evaluation"]);
}

/// Else the targets of all later samples would stand beside the wrong logits.
#[test]
fn caches_refuse_a_batch_with_other_targets() {
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let batch = student.batch(4, 0.0);
    let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
    let batch = Batch::new(inputs, batch.targets().slice(0, 0, 3, 1)).with_ids([1, 2, 3, 4]);
    assert_mismatch(Cached::record(&live, 0, [Ok(batch)]), &["targets", "4", "3"]);
}
