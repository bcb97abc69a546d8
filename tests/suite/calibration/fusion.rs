//! Fusion weights and late fusion.

use g2d::{
    batch::Rows,
    calibration::{FusionWeights, late_fusion},
};
use proptest::prelude::*;
use tch::{Device, Kind, Tensor, nn};

use crate::support::{
    assert_close, assert_config_error, assert_mismatch, assert_number, count_synchronisations,
    elements, rows_having, wave,
};

const WEIGHTS: [f64; 3] = [0.5, 0.3, 0.2];

fn logits() -> Vec<Tensor> {
    (0..3).map(|m| wave(f64::from(m), &[4, 2]).set_requires_grad(true)).collect()
}

/// The rows of each modality, by flags `present[m][row]`.
fn rows(present: [[bool; 4]; 3]) -> Vec<Rows> {
    present.iter().map(|flags| rows_having(flags)).collect()
}

#[test]
fn weights_are_divided_by_their_sum() {
    let weights = FusionWeights::new([2.0, 0.0, 6.0]).unwrap();
    assert_eq!(weights.as_slice(), [0.25, 0.0, 0.75]);
    let weights = FusionWeights::from_errors([0.5, 2.0]).unwrap();
    assert_eq!(weights.as_slice(), [0.8, 0.2]);
    let tensor = FusionWeights::new(WEIGHTS).unwrap().tensor(Device::Cpu);
    assert_eq!((tensor.kind(), tensor.size()), (Kind::Float, vec![3]));
    assert!(tensor.allclose(&Tensor::from_slice(&WEIGHTS).to_kind(Kind::Float), 0.0, 0.0, false));
}

#[test]
fn weights_out_of_range_are_errors() {
    for bad in [vec![], vec![0.0, 0.0], vec![1.0, -0.5], vec![1.0, f64::NAN], vec![f64::MAX; 2]] {
        let words = ["fusion weights", "≥ 0", &format!("{bad:?}")];
        assert_config_error(FusionWeights::new(bad.clone()), &words);
    }
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let words = ["validation errors", "> 0", &format!("found {bad}")];
        assert_config_error(FusionWeights::from_errors([1.0, bad]), &words);
    }
}

#[test]
fn registered_weights_are_a_buffer_that_follows_its_variables() {
    let mut vs = nn::VarStore::new(Device::Cpu);
    let buffer = FusionWeights::new(WEIGHTS).unwrap().register(&(vs.root() / "fusion"));
    assert!(vs.trainable_variables().is_empty() && !buffer.requires_grad());
    assert!(vs.variables()["fusion.fusion_weights"].equal(&buffer));
    vs.double();
    assert_eq!(buffer.kind(), Kind::Double);
    let difference = (buffer - Tensor::from_slice(&WEIGHTS)).abs().max().double_value(&[]);
    assert!(difference < 1e-7);
}

#[test]
fn late_fusion_is_the_weighted_sum_and_does_not_synchronise() {
    let (logits, weights) = (logits(), Tensor::from_slice(&WEIGHTS));
    let (fused, reads) = count_synchronisations(|| late_fusion(&weights, &logits, &Rows::all(3)));
    assert_close(&fused.unwrap(), &(&logits[0] * 0.5 + &logits[1] * 0.3 + &logits[2] * 0.2));
    assert_eq!(reads, 0);
}

/// Row 0 has all modalities, row 1 two, row 2 and row 3 one; then no row has modality 1.
#[test]
fn the_weights_of_a_sample_are_over_the_modalities_that_it_has() {
    let (yes, no) = (true, false);
    for present in [
        [[yes, yes, no, no], [yes, no, yes, no], [yes, yes, no, yes]],
        [[yes, yes, yes, no], [no; 4], [yes, no, yes, yes]],
        [[yes; 4], [no; 4], [yes; 4]],
    ] {
        let logits = logits();
        let fused = late_fusion(&Tensor::from_slice(&WEIGHTS), &logits, &rows(present)).unwrap();
        let upstream = wave(0.4, &[4, 2]);
        (&fused * &upstream).sum(Kind::Double).backward();
        let has = |m: usize, row: usize| f64::from(u8::from(present[m][row]));
        for row in 0..4 {
            let share: f64 = (0..3).map(|m| WEIGHTS[m] * has(m, row)).sum();
            for c in 0..2 {
                let at = [row as i64, c];
                let each = (0..3).map(|m| WEIGHTS[m] * has(m, row) * logits[m].double_value(&at));
                assert_number(fused.double_value(&at), each.sum::<f64>() / share);
                for (m, logits) in logits.iter().enumerate() {
                    let gradient = logits.grad();
                    let found = if gradient.defined() { gradient.double_value(&at) } else { 0.0 };
                    let expected = WEIGHTS[m] * has(m, row) / share * upstream.double_value(&at);
                    assert_number(found, expected);
                }
            }
        }
    }
}

#[test]
fn a_sample_whose_modalities_have_the_weight_0_gets_zeros() {
    let (yes, no) = (true, false);
    let present = [[yes, no, yes, yes], [yes; 4], [no; 4]];
    let logits = logits();
    let weights = Tensor::from_slice(&[1.0, 0.0, 0.0]);
    let fused = late_fusion(&weights, &logits, &rows(present)).unwrap();
    assert_eq!(elements(&fused.get(1)), [0.0, 0.0]);
    assert_close(&fused.get(0), &logits[0].get(0));
    fused.sum(Kind::Double).backward();
    for logits in &logits[..2] {
        assert!(logits.grad().isfinite().all().int64_value(&[]) == 1);
    }
}

#[test]
fn fused_logits_have_the_dtype_of_the_unimodal_ones() {
    let (yes, no) = (true, false);
    let present = [[yes, yes, no, no], [yes; 4], [yes; 4]];
    for kind in [Kind::Double, Kind::Float, Kind::BFloat16, Kind::Half] {
        let logits: Vec<_> = logits().iter().map(|l| l.to_kind(kind)).collect();
        for weights in [Kind::Double, Kind::Float] {
            let weights = Tensor::from_slice(&WEIGHTS).to_kind(weights);
            for rows in [Rows::all(3), rows(present)] {
                let fused = late_fusion(&weights, &logits, &rows).unwrap();
                assert_eq!(fused.kind(), kind);
                assert!(fused.isfinite().all().int64_value(&[]) == 1);
            }
        }
    }
}

#[test]
fn late_fusion_of_other_numbers_or_shapes_is_an_error() {
    let weights = Tensor::from_slice(&WEIGHTS);
    let all = logits();
    let words = ["late fusion", "k weights", "unimodal logits"];
    let words = |found| [words[0], "weights [k]", found];
    let fuse = |logits: &[Tensor], weights: &Tensor, k| late_fusion(weights, logits, &Rows::all(k));
    assert_mismatch(fuse(&all[..2], &weights, 2), &words("weights [3]"));
    assert_mismatch(fuse(&all, &weights, 2), &words("2 rows"));
    assert_mismatch(fuse(&[], &weights, 0), &words("logits []"));
    let narrow = [all[0].shallow_clone(), all[1].shallow_clone(), all[2].narrow(1, 0, 1)];
    assert_mismatch(fuse(&narrow, &weights, 3), &words("[4, 1]"));
    let flat: Vec<_> = all.iter().map(|l| l.flatten(0, -1)).collect();
    assert_mismatch(fuse(&flat, &weights, 3), &words("[8]"));
    let none = [Rows::Missing, Rows::Missing, Rows::Missing];
    assert_config_error(late_fusion(&weights, &all, &none), &["late fusion", "has a modality"]);
}

proptest! {
    #[test]
    fn weights_are_read_back_bit_by_bit(weights in prop::collection::vec(1e-6..1e6_f64, 1..9)) {
        let weights = FusionWeights::new(weights).unwrap();
        let text = serde_json::to_string(&weights).unwrap();
        prop_assert_eq!(&serde_json::from_str::<FusionWeights>(&text).unwrap(), &weights);
        prop_assert!((weights.as_slice().iter().sum::<f64>() - 1.0).abs() < 1e-14);
    }
}
