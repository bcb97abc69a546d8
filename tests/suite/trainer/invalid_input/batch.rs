//! Inputs, ids and targets.

use g2d::{
    Batch, Error, G2dLoss,
    batch::Input,
    loss::{Classification, Distillation, Regression},
};
use tch::{Device, Kind, Tensor};

use super::assert_fails_unchanged;
use crate::support::{Tiny, wave, with_targets};

/// Asserts that a step fails with `words` for the batch that `invalid` makes of inputs and targets;
/// with teachers and without, with and without gradients of an earlier step.
#[track_caller]
fn assert_invalid(words: &[&str], invalid: impl Fn(Vec<Tensor>, Tensor) -> Batch) -> Error {
    let student = Tiny::linear(2);
    let invalid = || {
        let batch = student.batch(4, 0.0);
        let inputs = batch.inputs().iter().map(Input::first).map(Tensor::shallow_clone).collect();
        invalid(inputs, batch.targets().shallow_clone())
    };
    let plain = student.builder(Classification::default()).build(&student).unwrap();
    assert_fails_unchanged(&student, plain, words, |t| t.step(&student, &invalid()));
    let builder = student.builder_with_teachers(Classification::default());
    let mut with_teachers = builder.build(&student).unwrap();
    with_teachers.step(&student, &student.batch(4, 1.0)).unwrap();
    assert_fails_unchanged(&student, with_teachers, words, |t| t.step(&student, &invalid()))
}

/// Asserts that a step with this loss fails with `words` for these targets.
#[track_caller]
fn assert_invalid_targets(loss: impl G2dLoss + 'static, targets: Tensor, words: &[&str]) -> Error {
    let student = Tiny::linear(2);
    let trainer = student.builder_with_teachers(loss).build(&student).unwrap();
    let batch = with_targets(&student.batch(4, 0.0), targets);
    assert_fails_unchanged(&student, trainer, words, |t| t.step(&student, &batch))
}

#[test]
fn a_batch_without_one_input_per_modality_is_invalid() {
    let words = ["batch", "2 inputs", "[\"m0\", \"m1\"]", "order"];
    let error = assert_invalid(&words, |inputs, y| Batch::new([inputs[0].shallow_clone()], y));
    assert!(matches!(error, Error::Shape(_)));
    assert_invalid(&words, |mut inputs, y| {
        inputs.push(inputs[0].shallow_clone());
        Batch::new(inputs, y)
    });
    assert_invalid(&words, |_, y| Batch::new(Vec::<Tensor>::new(), y));
}

#[test]
fn inputs_ids_and_targets_of_different_numbers_of_rows_are_invalid() {
    let words = ["input of modality \"m1\"", "[4, …]", "[3, 5]", "row"];
    let error = assert_invalid(&words, |mut inputs, y| {
        inputs[1] = inputs[1].slice(0, 0, 3, 1);
        Batch::new(inputs, y)
    });
    assert!(matches!(error, Error::Shape(_)));
    assert_invalid(&["input of modality \"m0\"", "[]"], |mut inputs, y| {
        inputs[0] = Tensor::from(1.0);
        Batch::new(inputs, y)
    });
    assert_invalid(&["sample ids", "4", "found 3"], |inputs, y| {
        Batch::new(inputs, y).with_ids([1, 2, 3])
    });
    let words = ["targets", "at least 1", "[0]", "empty"];
    assert_invalid(&words, |inputs, y| {
        let none: Vec<_> = inputs.iter().map(|x| x.slice(0, 0, 0, 1)).collect();
        Batch::new(none, y.slice(0, 0, 0, 1))
    });
    assert_invalid(&["targets", "[]"], |inputs, _| Batch::new(inputs, Tensor::from(1_i64)));
}

#[test]
fn labels_outside_the_classes_or_of_a_wrong_dtype_or_shape_are_invalid() {
    for label in [-1, 3, i64::MAX] {
        let words = ["target", "classes 0..3", &format!("found {label}"), "labels"];
        let error = assert_invalid(&words, |inputs, _| {
            Batch::new(inputs, Tensor::from_slice(&[0, 1, label, 2]))
        });
        assert!(matches!(error, Error::Target(_)));
    }
    let words = ["targets", "Int64", "Float", "to_kind"];
    let error = assert_invalid(&words, |inputs, y| Batch::new(inputs, y.to_kind(Kind::Float)));
    assert!(matches!(error, Error::Kind(_)));
    let words = ["targets", "[4]", "[4, 3]", "one-hot"];
    let error = assert_invalid(&words, |inputs, y| Batch::new(inputs, y.one_hot(3)));
    assert!(matches!(error, Error::Shape(_)));
}

#[test]
fn multi_label_targets_that_are_not_zeros_and_ones_are_invalid() {
    let check = |targets: Tensor, words: &[&str]| {
        let loss = Classification::multi_label(Distillation::default());
        assert_invalid_targets(loss, targets, words)
    };
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Double, Device::Cpu));
    let error = check(zeros(&[4, 3]) + 0.5, &["targets", "zeros and ones", "threshold"]);
    assert!(matches!(error, Error::Target(_)));
    // A target that is not finite is subject to the policy `NonFinite`.
    let error = check(zeros(&[4, 3]) * f64::NAN, &["task term", "NaN", "first in the targets"]);
    assert!(matches!(error, Error::NonFinite(_)));
    check(zeros(&[4]), &["targets", "[4, 3]", "[4]"]);
    check(zeros(&[4, 3]).to_kind(Kind::Int64), &["targets", "Float", "Int64"]);
}

#[test]
fn regression_targets_of_another_shape_or_dtype_or_with_nan_are_invalid() {
    let check = |targets: Tensor, words: &[&str]| {
        assert_invalid_targets(Regression::default(), targets, words)
    };
    let error = check(wave(0.0, &[4]), &["targets", "[4, 3]", "found [4]", "broadcast"]);
    assert!(matches!(error, Error::Shape(_)));
    check(wave(0.0, &[4, 1]), &["targets", "[4, 3]", "[4, 1]"]);
    let error = check(wave(0.0, &[4, 3]).to_kind(Kind::Int64), &["targets", "float", "Int64"]);
    assert!(matches!(error, Error::Kind(_)));
    let error = check(wave(0.0, &[4, 3]) * f64::NAN, &["finite", "NaN"]);
    assert!(matches!(error, Error::NonFinite(_)));
}
