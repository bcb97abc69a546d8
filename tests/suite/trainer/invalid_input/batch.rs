//! Inputs, ids and targets.

use g2d::{
    Batch, Error,
    loss::{Classification, Distillation, Regression},
};
use tch::{Device, Kind, Tensor};

use super::refuses;
use crate::support::{Tiny, wave};

/// With teachers and without, with and without gradients of an earlier step.
#[track_caller]
fn refuses_batch(words: &[&str], spoil: impl Fn(Vec<Tensor>, Tensor) -> Batch) -> Error {
    let student = Tiny::linear(2);
    let spoiled = || {
        let batch = student.batch(4, 0.0);
        let inputs = batch.inputs().iter().map(Tensor::shallow_clone).collect();
        spoil(inputs, batch.targets().shallow_clone())
    };
    let plain = student.builder(Classification::default()).build(&student).unwrap();
    refuses(&student, plain, words, |trainer| trainer.step(&student, &spoiled()));
    let mut taught = student.builder_with_teachers(Classification::default()).build(&student).unwrap();
    taught.step(&student, &student.batch(4, 1.0)).unwrap();
    refuses(&student, taught, words, |trainer| trainer.step(&student, &spoiled()))
}

#[test]
fn inputs_are_one_a_modality() {
    let words = ["batch", "2 inputs", "[\"m0\", \"m1\"]", "order"];
    let error = refuses_batch(&words, |inputs, y| Batch::new([inputs[0].shallow_clone()], y));
    assert!(matches!(error, Error::Shape(_)));
    refuses_batch(&words, |mut inputs, y| {
        inputs.push(inputs[0].shallow_clone());
        Batch::new(inputs, y)
    });
    refuses_batch(&words, |_, y| Batch::new([], y));
}

#[test]
fn rows_agree() {
    let words = ["input of modality \"m1\"", "[4, …]", "[3, 5]", "row"];
    let error = refuses_batch(&words, |mut inputs, y| {
        inputs[1] = inputs[1].slice(0, 0, 3, 1);
        Batch::new(inputs, y)
    });
    assert!(matches!(error, Error::Shape(_)));
    refuses_batch(&["input of modality \"m0\"", "[]"], |mut inputs, y| {
        inputs[0] = Tensor::from(1.0);
        Batch::new(inputs, y)
    });
    refuses_batch(&["sample ids", "4", "found 3"], |inputs, y| {
        Batch::new(inputs, y).with_ids([1, 2, 3])
    });
    let words = ["targets", "at least 1", "[0]", "empty"];
    refuses_batch(&words, |inputs, y| {
        let none: Vec<_> = inputs.iter().map(|x| x.slice(0, 0, 0, 1)).collect();
        Batch::new(none, y.slice(0, 0, 0, 1))
    });
    refuses_batch(&["targets", "[]"], |inputs, _| Batch::new(inputs, Tensor::from(1_i64)));
}

#[test]
fn labels_are_classes() {
    for bad in [-1, 3, i64::MAX] {
        let words = ["target", "classes 0..3", &format!("found {bad}"), "labels"];
        let error = refuses_batch(&words, |inputs, _| {
            Batch::new(inputs, Tensor::from_slice(&[0, 1, bad, 2]))
        });
        assert!(matches!(error, Error::Target(_)));
    }
    let words = ["targets", "Int64", "Float", "to_kind"];
    let error = refuses_batch(&words, |inputs, y| Batch::new(inputs, y.to_kind(Kind::Float)));
    assert!(matches!(error, Error::Kind(_)));
    let words = ["targets", "[4]", "[4, 3]", "one-hot"];
    let error = refuses_batch(&words, |inputs, y| Batch::new(inputs, y.one_hot(3)));
    assert!(matches!(error, Error::Shape(_)));
}

#[test]
fn labels_of_many_are_zeros_and_ones() {
    let student = Tiny::linear(2);
    let check = |targets: Tensor, words: &[&str]| {
        let loss = Classification::multi_label(Distillation::default());
        let trainer = student.builder_with_teachers(loss).build(&student).unwrap();
        let batch = student.batch(4, 0.0);
        let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
        let batch = Batch::new(inputs, targets);
        refuses(&student, trainer, words, |trainer| trainer.step(&student, &batch))
    };
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Double, Device::Cpu));
    let error = check(zeros(&[4, 3]) + 0.5, &["targets", "zeros and ones", "threshold"]);
    assert!(matches!(error, Error::Target(_)));
    // What is not finite is for the trainer's policy to judge.
    let error = check(zeros(&[4, 3]) * f64::NAN, &["task term", "NaN", "first in the targets"]);
    assert!(matches!(error, Error::NonFinite(_)));
    check(zeros(&[4]), &["targets", "[4, 3]", "[4]"]);
    check(zeros(&[4, 3]).to_kind(Kind::Int64), &["targets", "Float", "Int64"]);
}

#[test]
fn values_of_a_regression_fit_its_predictions() {
    let student = Tiny::linear(2);
    let check = |targets: Tensor, words: &[&str]| {
        let trainer = student.builder_with_teachers(Regression::default()).build(&student).unwrap();
        let batch = student.batch(4, 0.0);
        let inputs: Vec<_> = batch.inputs().iter().map(Tensor::shallow_clone).collect();
        let batch = Batch::new(inputs, targets);
        refuses(&student, trainer, words, |trainer| trainer.step(&student, &batch))
    };
    let error = check(wave(0.0, &[4]), &["targets", "[4, 3]", "found [4]", "broadcast"]);
    assert!(matches!(error, Error::Shape(_)));
    check(wave(0.0, &[4, 1]), &["targets", "[4, 3]", "[4, 1]"]);
    let error = check(wave(0.0, &[4, 3]).to_kind(Kind::Int64), &["targets", "float", "Int64"]);
    assert!(matches!(error, Error::Kind(_)));
    let error = check(wave(0.0, &[4, 3]) * f64::NAN, &["finite", "NaN"]);
    assert!(matches!(error, Error::NonFinite(_)));
}
