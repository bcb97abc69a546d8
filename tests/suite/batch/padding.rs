//! Tensors of different lengths.

use g2d::{Result, batch::Input};
use tch::{Device, IndexOp, Kind, Tensor};

use crate::support::{assert_mismatch, wave};

/// The lengths of the samples; one has none.
const LENGTHS: [i64; 4] = [2, 0, 5, 1];

#[test]
fn padding_keeps_every_sample_and_marks_the_rest() {
    let samples = LENGTHS.map(|length| wave(length as f64, &[length, 3]));
    let input = Input::padded(&samples).unwrap();
    let [values, mask, lengths] =
        ["values", "mask", "lengths"].map(|name| input.tensor(name).unwrap());
    assert_eq!((values.size(), mask.size()), (vec![4, 5, 3], vec![4, 5]));
    assert_eq!((values.kind(), mask.kind()), (Kind::Double, Kind::Bool));
    assert_eq!(Vec::<i64>::try_from(lengths).unwrap(), LENGTHS);
    for (row, (sample, length)) in (0..).zip(samples.iter().zip(LENGTHS)) {
        assert!(values.i((row, ..length)).equal(sample));
        assert_eq!(values.i((row, length..)).abs().sum(None::<Kind>).double_value(&[]), 0.0);
        let marked = (0..5).map(|t| t < length).collect::<Vec<_>>();
        assert_eq!(Vec::<bool>::try_from(mask.i(row)).unwrap(), marked);
    }
    assert!(input.equal(values), "the values come first");
}

#[test]
fn samples_without_any_value_are_one_token_of_padding() {
    let none = [0, 1].map(|_| Tensor::zeros([0, 4], (Kind::Float, Device::Cpu)));
    let input = Input::padded(&none).unwrap();
    assert_eq!(input.size(), [2, 1, 4]);
    assert!(!bool::try_from(input.tensor("mask").unwrap().any()).unwrap());
}

#[test]
fn samples_that_differ_in_more_than_their_length_are_errors() {
    let pad = |samples: &[Tensor]| -> Result<Input> { Input::padded(samples) };
    assert_mismatch(pad(&[]), &["list to pad", "at least one tensor", "none"]);
    let first = || wave(0.0, &[2, 3]);
    let words = ["tensor 1 to pad", "[T, 3]", "[2, 4]"];
    assert_mismatch(pad(&[first(), wave(0.0, &[2, 4])]), &words);
    assert_mismatch(pad(&[first(), wave(0.0, &[2])]), &["tensor 1", "[T, 3]", "found [2]"]);
    assert_mismatch(pad(&[Tensor::from(1.0)]), &["tensor 0", "[T]", "found []"]);
    let integers = first().to_kind(Kind::Int64);
    assert_mismatch(pad(&[first(), integers]), &["tensor 1", "Double", "Int64"]);
}
