//! From samples to a batch.

use g2d::{
    batch::Input,
    data::{Sample, collate},
};
use tch::{Kind, Tensor};

use crate::support::assert_mismatch;

fn row(values: &[f32]) -> Tensor {
    Tensor::from_slice(values)
}

fn words(ids: &[i64]) -> Input {
    let ids = Tensor::from_slice(ids);
    Input::new("ids", ids.shallow_clone()).with("types", ids.eq(7).to_kind(Kind::Uint8))
}

#[track_caller]
fn assert_tensor(found: &Tensor, expected: &Tensor) {
    assert_eq!(found.kind(), expected.kind());
    assert!(found.equal(expected), "{found:?} against {expected:?}");
}

#[test]
fn tensors_of_one_shape_are_stacked() {
    let sample = |label: i64, x: f32, weight: f32| {
        Sample::new(label).input(row(&[x, -x])).input(words(&[label, 7])).extra("weight", weight)
    };
    let batch = collate(vec![sample(4, 1.0, 0.5), sample(2, 3.0, 2.0)]).unwrap();
    assert_tensor(batch.targets(), &Tensor::from_slice(&[4_i64, 2]));
    assert_tensor(batch.input(0), &row(&[1.0, -1.0, 3.0, -3.0]).view([2, 2]));
    assert_tensor(batch.input(1), &Tensor::from_slice(&[4_i64, 7, 2, 7]).view([2, 2]));
    let types = batch.tensor(1, "types").unwrap();
    assert_tensor(types, &Tensor::from_slice(&[0_u8, 1, 0, 1]).view([2, 2]));
    assert_tensor(batch.extra("weight").unwrap(), &row(&[0.5, 2.0]));
    assert!(batch.present(0).is_none() && batch.present(1).is_none() && batch.ids().is_none());
}

#[test]
fn targets_may_be_tensors() {
    let sample = |values: &[f32]| Sample::new(row(values)).input(row(&[0.0]));
    let batch = collate(vec![sample(&[1.0, 2.0]), sample(&[3.0, 4.0])]).unwrap();
    assert_tensor(batch.targets(), &row(&[1.0, 2.0, 3.0, 4.0]).view([2, 2]));
}

#[test]
fn sequences_are_padded_and_masked_in_every_tensor() {
    let sample = |ids: &[i64]| Sample::new(0_i64).sequence(words(ids)).input(row(&[1.0]));
    let batch = collate(vec![sample(&[5, 6, 7]), sample(&[7])]).unwrap();
    assert_tensor(batch.input(0), &Tensor::from_slice(&[5_i64, 6, 7, 7, 0, 0]).view([2, 3]));
    let types = Tensor::from_slice(&[0_u8, 0, 1, 1, 0, 0]).view([2, 3]);
    assert_tensor(batch.tensor(0, "types").unwrap(), &types);
    let mask = Tensor::from_slice(&[true, true, true, true, false, false]).view([2, 3]);
    assert_tensor(batch.tensor(0, "mask").unwrap(), &mask);
    assert_tensor(batch.tensor(0, "lengths").unwrap(), &Tensor::from_slice(&[3_i64, 1]));

    let sample =
        |n: i64| Sample::new(0_i64).sequence(Tensor::full([n, 2], n, tch::kind::FLOAT_CPU));
    let batch = collate(vec![sample(1), sample(2)]).unwrap();
    assert_tensor(batch.input(0), &row(&[1.0, 1.0, 0.0, 0.0, 2.0, 2.0, 2.0, 2.0]).view([2, 2, 2]));

    let own = |ids: &[i64]| words(ids).with("mask", Tensor::from_slice(ids).ne(6));
    let batch = collate(vec![Sample::new(0_i64).sequence(own(&[5, 6]))]).unwrap();
    let mask = Tensor::from_slice(&[true, false]).view([1, 2]);
    assert_tensor(batch.tensor(0, "mask").unwrap(), &mask);
}

#[test]
fn samples_without_a_modality_have_zeros_and_are_marked() {
    let sample = |x: Option<f32>, ids: Option<&[i64]>| {
        let sample = Sample::new(0_i64).input_or_missing(x.map(|x| row(&[x])));
        sample.sequence_or_missing(ids.map(words))
    };
    let samples =
        vec![sample(None, Some(&[5])), sample(Some(1.0), None), sample(Some(2.0), Some(&[6, 7]))];
    let batch = collate(samples).unwrap();
    assert_eq!(batch.present(0), Some(&[false, true, true][..]));
    assert_eq!(batch.present(1), Some(&[true, false, true][..]));
    assert_tensor(batch.input(0), &row(&[0.0, 1.0, 2.0]).view([3, 1]));
    assert_tensor(batch.input(1), &Tensor::from_slice(&[5_i64, 0, 0, 0, 6, 7]).view([3, 2]));
    let mask = Tensor::from_slice(&[true, false, false, false, true, true]).view([3, 2]);
    assert_tensor(batch.tensor(1, "mask").unwrap(), &mask);

    assert_tensor(batch.tensor(1, "lengths").unwrap(), &Tensor::from_slice(&[1_i64, 0, 2]));

    let batch = collate(vec![sample(Some(1.0), None), sample(Some(2.0), None)]).unwrap();
    assert_eq!(batch.present(1), Some(&[false, false][..]));
    assert_eq!(batch.input(1).size(), [2, 0]);
    assert!(batch.present(0).is_none());
}

#[test]
fn an_empty_sequence_is_a_missing_modality_whose_tensors_are_known() {
    let sample = |ids: &[i64]| Sample::new(0_i64).input(row(&[1.0])).sequence(words(ids));
    let batch = collate(vec![sample(&[]), sample(&[7, 5])]).unwrap();
    assert_eq!(batch.present(1), Some(&[false, true][..]));
    assert_tensor(batch.input(1), &Tensor::from_slice(&[0_i64, 0, 7, 5]).view([2, 2]));

    let batch = collate(vec![sample(&[]), sample(&[])]).unwrap();
    assert_eq!(batch.present(1), Some(&[false, false][..]));
    let zeros = |size: &[i64], kind| Tensor::zeros(size, (kind, tch::Device::Cpu));
    assert_tensor(batch.input(1), &zeros(&[2, 1], Kind::Int64));
    assert_tensor(batch.tensor(1, "types").unwrap(), &zeros(&[2, 1], Kind::Uint8));
    assert_tensor(batch.tensor(1, "mask").unwrap(), &zeros(&[2, 1], Kind::Bool));
    assert_tensor(batch.tensor(1, "lengths").unwrap(), &zeros(&[2], Kind::Int64));

    let own = |n: i64| {
        Input::new("ids", zeros(&[n, 3], Kind::Float)).with("mask", zeros(&[n], Kind::Int8))
    };
    let batch = collate(vec![Sample::new(0_i64).sequence(own(0))]).unwrap();
    assert_tensor(batch.input(0), &zeros(&[1, 1, 3], Kind::Float));
    assert_tensor(batch.tensor(0, "mask").unwrap(), &zeros(&[1, 1], Kind::Int8));
}

#[test]
fn samples_that_do_not_fit_each_other_are_errors_that_name_the_sample() {
    let label = |sample: Sample| vec![Sample::new(0_i64).input(row(&[1.0, 2.0])), sample];
    let new = || Sample::new(0_i64);
    let error = |sample, words: &[&str]| {
        assert_mismatch(collate(label(sample)), &[&["sample 1 of the batch"], words].concat());
    };
    error(new(), &["inputs", "1, as of sample 0", "Sample::missing"]);
    error(new().input(row(&[1.0])), &["[2]", "[1]", "Sample::sequence"]);
    error(new().input(row(&[])), &["[0]", "Sample::missing"]);
    error(new().input(row(&[1.0, 2.0]).to_kind(Kind::Double)), &["Float", "Double", "to_kind"]);
    error(new().input(Input::new("x", row(&[1.0, 2.0]))), &["[\"values\"]", "[\"x\"]"]);
    error(new().sequence(row(&[1.0, 2.0])), &["a sequence of tensors", "same way"]);
    error(new().input(row(&[1.0, 2.0])).extra("weight", 1.0_f32), &["extras", "weight"]);
    let other = Sample::new(0.5_f32).input(row(&[1.0, 2.0]));
    error(other, &["target", "Int64", "Float"]);
    assert_mismatch(collate(Vec::new()), &["at least one"]);

    let two = |a: Input, b: Input| collate(vec![new().sequence(a), new().sequence(b)]);
    let uneven = Input::new("ids", row(&[1.0, 2.0])).with("types", row(&[1.0]));
    let even = Input::new("ids", row(&[1.0, 2.0])).with("types", row(&[1.0, 2.0]));
    assert_mismatch(two(even, uneven), &["steps of \"types\"", "sample 1", "2, as of \"ids\""]);
    let scalar = two(Tensor::from(1.0_f32).into(), Tensor::from(1.0_f32).into());
    assert_mismatch(scalar, &["[T, …]", "[]"]);
    let wide = two(row(&[1.0]).view([1, 1]).into(), row(&[1.0, 2.0]).view([1, 2]).into());
    assert_mismatch(wide, &["[1, 2]", "only the first dimension"]);
}
