//! Early stopping of a loop without snapshots.

use g2d::{checkpoint::EarlyStopping, metrics};
use tch::Tensor;

use super::{mark, marked};
use crate::support::{Tiny, assert_config_error, assert_mismatch};

/// Counts epochs whose number is in the weights, until the loop ends; returns their number.
fn epochs(stopping: &mut EarlyStopping, student: &Tiny, scores: &[f64]) -> usize {
    for (epoch, score) in scores.iter().enumerate() {
        mark(student, epoch as f64);
        if stopping.should_stop(*score, &student.vs).unwrap() {
            return epoch + 1;
        }
    }
    scores.len()
}

#[test]
fn a_loop_ends_after_the_patience_and_gets_the_weights_of_the_first_best_epoch() {
    let student = Tiny::linear(2);
    let mut stopping = EarlyStopping::new(3);
    let scores = [0.5, 0.75, 0.75, 0.25, 0.875, 0.875, 0.5, 0.5, 1.0];
    assert_eq!(epochs(&mut stopping, &student, &scores), 8);
    assert_eq!((stopping.score(), stopping.since_best()), (Some(0.875), 3));
    assert_eq!(stopping.restore().unwrap(), 0.875);
    assert_eq!(marked(&student), 4.0);
}

/// Accuracies of a small validation set are often equal.
#[test]
fn the_selection_score_counts_a_lower_nll_as_better_at_equal_accuracies() {
    let student = Tiny::linear(2);
    let mut stopping = EarlyStopping::new(2);
    let targets = Tensor::from_slice(&[0_i64, 1]);
    let score = |margin: f64| {
        let logits = Tensor::from_slice2(&[[margin, 0.0], [0.0, margin]]);
        metrics::selection_score(&logits, &targets).unwrap()
    };
    let scores = [1.0, 2.0, 3.0, 2.0, 1.0, 9.0].map(score);
    assert_eq!(epochs(&mut stopping, &student, &scores), 5);
    stopping.restore().unwrap();
    assert_eq!(marked(&student), 2.0);
}

#[test]
fn a_patience_of_zero_a_score_that_is_nan_and_restoring_nothing_are_errors() {
    let student = Tiny::linear(2);
    let zero = EarlyStopping::new(0).should_stop(0.5, &student.vs);
    assert_config_error(zero, &["patience of early stopping", "at least 1"]);
    let mut stopping = EarlyStopping::new(1);
    assert_mismatch(stopping.should_stop(f64::NAN, &student.vs), &["score", "NaN"]);
    assert_config_error(stopping.restore(), &["best weights", "none"]);
}
