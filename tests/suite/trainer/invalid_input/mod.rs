//! Every refusal of a step: its words, and that it changed nothing and did not count.
//!
//! - `batch.rs`: inputs, ids and targets.
//! - `models.rs`: what student, teachers and loss answer.
//! - `cache.rs`: samples that a cached teacher lacks, and batches that cannot be recorded.

mod batch;
mod cache;
mod models;

use g2d::{
    Error, G2dTrainer, Result,
    loss::Classification,
    schedule::{Ranking, Sequential},
};

use crate::support::{ModifiedStudent, Tiny, assert_same, gradients, assert_mismatch, values};

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
    let error = assert_mismatch(bad(&mut trainer), words);
    assert_same(&values(&student.vs), &before.0);
    assert_same(&gradients(&student.vs), &before.1);
    assert_eq!(trainer.progress(), before.2, "the step counted");
    error
}

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
        let scheduler = Sequential::new([9]).ranking(Ranking::PreviousEpoch);
        let builder = student.builder_with_teachers(Classification::default()).scheduler(scheduler);
        let mut trainer = builder.build(&student).unwrap();
        let fails = ModifiedStudent::with_logits(&student, |logits| logits * f64::NAN);
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
