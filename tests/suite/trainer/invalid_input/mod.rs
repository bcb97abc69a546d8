//! Invalid input of a step: an error that changes nothing, and a step that does not count.
//!
//! - `batch.rs`: inputs, ids and targets.
//! - `models.rs`: outputs of student, teachers and loss.
//! - `cache.rs`: samples without cached outputs, and batches that cannot be recorded.

mod batch;
mod cache;
mod models;

use g2d::{
    Error, G2dTrainer, Result,
    loss::Classification,
    schedule::{Ranking, Sequential},
};

use crate::support::{ModifiedStudent, Tiny, assert_mismatch, assert_same, gradients, values};

/// Asserts that `action` is an error with `words` and changes neither variables nor gradients nor
/// progress.
#[track_caller]
fn assert_fails_unchanged<T>(
    student: &Tiny,
    mut trainer: G2dTrainer,
    words: &[&str],
    action: impl FnOnce(&mut G2dTrainer) -> Result<T>,
) -> Error {
    let before = (values(&student.vs), gradients(&student.vs), trainer.progress());
    let error = assert_mismatch(action(&mut trainer), words);
    assert_same(&values(&student.vs), &before.0);
    assert_same(&gradients(&student.vs), &before.1);
    assert_eq!(trainer.progress(), before.2, "a failed step counts");
    error
}

#[test]
fn an_epoch_without_a_step_is_an_error() {
    let student = Tiny::linear(2);
    let trainer = student.builder(Classification::default()).build(&student).unwrap();
    let words = ["epoch 0", "at least one step", "loader"];
    assert_fails_unchanged(&student, trainer, &words, G2dTrainer::end_epoch);
}

/// Even if it fails after the plan was made.
#[test]
fn a_failed_step_does_not_enter_the_ranking() {
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
    // Two batches that rank the modalities in opposite order.
    let seeds: Vec<f64> = (0..12).map(f64::from).collect();
    let seed_of = |m| seeds.iter().copied().find(|&seed| weakest(0, 0.0, seed) == Some(m)).unwrap();
    let (first, second) = (seed_of(0), seed_of(1));
    assert_eq!(weakest(50, first, second), Some(1));
    assert_eq!(weakest(50, second, first), Some(0));
}
