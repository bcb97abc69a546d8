//! Caches, evaluation and epochs, and what outlives a failed step.

use g2d::{
    Batch, CachedTeacher, Classification, Error, G2dTrainer, Ranking, Sequential, Student, evaluate,
};
use tch::{Device, Kind, Tensor};

use super::refuses;
use crate::support::{Bent, Tiny, WIDTH, mismatch, wave};

#[test]
fn an_epoch_has_a_step() {
    let student = Tiny::linear(2);
    let trainer = student.builder(Classification::default()).build(&student).unwrap();
    let words = ["epoch 0", "at least one step", "loader"];
    refuses(&student, trainer, &words, G2dTrainer::end_epoch);
}

/// A step that fails after it was planned must not weigh in the ranking either.
#[test]
fn a_failed_step_leaves_no_trace_in_the_ranking() {
    let student = Tiny::linear(2);
    let weakest = |failures: usize, failing: f64, seed: f64| {
        let scheduler = Sequential::stages([9]).ranking(Ranking::PreviousEpoch);
        let builder = student.taught(Classification::default()).scheduler(scheduler);
        let mut trainer = builder.build(&student).unwrap();
        let fails = Bent::fuse(&student, |logits| logits * f64::NAN);
        for _ in 0..failures {
            trainer.step(&fails, &student.batch(4, failing)).unwrap_err();
        }
        let report = trainer.step(&student, &student.batch(4, seed)).unwrap();
        report.plan.kappa().iter().position(|&kappa| kappa == 1.0)
    };
    // Two batches that rank the modalities in opposite ways.
    let seeds: Vec<f64> = (0..12).map(f64::from).collect();
    let seed_of = |m| seeds.iter().copied().find(|&seed| weakest(0, 0.0, seed) == Some(m)).unwrap();
    let (first, second) = (seed_of(0), seed_of(1));
    assert_eq!(weakest(50, first, second), Some(1));
    assert_eq!(weakest(50, second, first), Some(0));
}

#[test]
fn caches_say_which_samples_they_lack() {
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let record = |batches: Vec<Batch>| CachedTeacher::record(&live, 0, batches.into_iter().map(Ok));
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

    mismatch(record(vec![batch]), &["teacher \"m0\"", "sample ids", "with_ids"]);
    let twice = vec![student.batch(2, 0.0), student.batch(1, 0.0)];
    mismatch(record(twice), &["every sample once", "id 100 twice"]);
    mismatch(record(vec![]), &["at least one batch", "found none"]);
    let short = vec![student.batch(4, 0.0).with_ids([1, 2, 3])];
    mismatch(record(short), &["teacher \"m0\"", "[3, ", "[4, 4]"]);
    let failed = [Ok(student.batch(2, 0.0)), evaluate(&student, []).map(|_| unreachable!())];
    mismatch(CachedTeacher::record(&live, 0, failed), &["evaluation"]);
}

/// Else the targets of all later samples would stand beside the wrong logits.
#[test]
fn caches_refuse_a_batch_with_other_targets() {
    let student = Tiny::linear(2);
    let (live, _vs) = student.teacher(0, WIDTH);
    let batch = student.batch(4, 0.0);
    let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
    let batch = Batch::new(inputs, batch.targets().slice(0, 0, 3, 1)).with_ids([1, 2, 3, 4]);
    mismatch(CachedTeacher::record(&live, 0, [Ok(batch)]), &["targets", "4", "3"]);
}

#[test]
fn evaluation_checks_its_batches() {
    let student = Tiny::linear(2);
    mismatch(evaluate(&student, []), &["evaluation", "at least one batch"]);
    let batch = Batch::new([wave(0.0, &[4, 5])], Tensor::zeros([4], (Kind::Int64, Device::Cpu)));
    mismatch(evaluate(&student, [Ok(batch)]), &["2 inputs", "found 1"]);
    let seen = evaluate(&student, [Ok(student.batch(3, 0.0))]).unwrap();
    let accuracy = |y: Tensor| g2d::metrics::accuracy(&seen.logits, &y);
    mismatch(accuracy(wave(0.0, &[3])), &["targets", "Int64", "Double"]);
    mismatch(accuracy(Tensor::from_slice(&[0_i64, 1])), &["[N, C]", "[3, 3]", "[2]"]);
    assert_eq!(student.modalities().len(), 2);
}
