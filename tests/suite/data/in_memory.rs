//! Samples in memory and the batches made of them.

use std::collections::BTreeMap;

use g2d::{
    Batch, Result,
    batch::Input,
    data::{BatchOrder, InMemory},
};
use tch::{Device, Kind, Tensor};

use crate::support::assert_mismatch;

/// n samples; sample i has the inputs 10 i and 100 i and the target i.
fn set(n: i64) -> InMemory {
    let rows = Tensor::arange(n, (Kind::Int64, Device::Cpu));
    let inputs = [(&rows * 10).to_kind(Kind::Float), (&rows * 100).to_kind(Kind::Float)];
    InMemory::new(["a", "b"], inputs, rows).unwrap()
}

fn all(set: &InMemory, order: BatchOrder, epoch: u64) -> Vec<Batch> {
    set.batches(&order, epoch, Device::Cpu).map(Result::unwrap).collect()
}

/// The ids of all batches in order; asserts that inputs and targets belong to their ids.
fn ids(set: &InMemory, order: BatchOrder) -> Vec<i64> {
    let mut ids = Vec::new();
    for batch in all(set, order, 0) {
        let own = Tensor::from_slice(batch.ids().unwrap());
        assert!(batch.targets().equal(&own));
        assert!(batch.input(0).equal(&(&own * 10).to_kind(Kind::Float)));
        assert!(batch.input(1).equal(&(&own * 100).to_kind(Kind::Float)));
        ids.extend_from_slice(batch.ids().unwrap());
    }
    ids
}

fn stored(set: &InMemory) -> Vec<i64> {
    ids(set, BatchOrder::stored(4))
}

#[test]
fn batches_have_the_samples_of_their_order() {
    let set = set(10);
    for order in [BatchOrder::stored(3), BatchOrder::shuffled(4, 7)] {
        let expected = order.batches(10, 0).unwrap().concat();
        assert_eq!(ids(&set, order), expected.iter().map(|&row| row as i64).collect::<Vec<_>>());
    }
    let sizes: Vec<i64> = all(&set, BatchOrder::stored(4), 0).iter().map(Batch::size).collect();
    assert_eq!(sizes, [4, 4, 2]);
    let of_epoch = |epoch| -> Vec<i64> {
        let batches = all(&set, BatchOrder::shuffled(10, 7), epoch);
        batches[0].ids().unwrap().to_vec()
    };
    assert_ne!(of_epoch(0), of_epoch(1));
    let own = set.batches_of(vec![vec![9, 9], vec![0]], Device::Cpu).map(Result::unwrap);
    let own: Vec<i64> = own.flat_map(|batch| batch.ids().unwrap().to_vec()).collect();
    assert_eq!(own, [9, 9, 0]);
}

#[test]
fn an_order_without_batches_is_an_error_in_place_of_the_first() {
    let set = set(10);
    let mut batches = set.batches(&BatchOrder::stored(0), 0, Device::Cpu);
    assert_mismatch(batches.next().unwrap(), &["batch size", "at least 1"]);
    assert!(batches.next().is_none());
}

#[test]
fn a_held_out_part_is_disjoint_from_the_rest_and_keeps_its_ids() {
    let split = |seed| set(10).hold_out(0.3, seed).unwrap();
    let (rest, held) = split(1);
    assert_eq!((rest.len(), held.len()), (7, 3));
    let (rest, held) = (stored(&rest), stored(&held));
    assert!(held.iter().all(|id| !rest.contains(id)));
    assert_eq!(stored(&split(1).1), held, "the same seed holds out the same");
    assert_ne!(stored(&split(2).1), held);
    for share in [0.0, 1.0, 0.01, -1.0, f64::NAN] {
        let words = ["10 samples", &share.to_string(), "between"];
        assert_mismatch(set(10).hold_out(share, 1), &words);
        assert_mismatch(set(10).hold_out_by_class(share, 1), &words);
    }
    assert_eq!(stored(&set(10).first(4).unwrap()), [0, 1, 2, 3]);
    assert_eq!(set(10).first(99).unwrap().len(), 10);
    assert_mismatch(set(10).first(0), &["at least 1"]);
    assert_eq!(stored(&set(10).select(&[7, 2]).unwrap()), [7, 2]);
    assert_mismatch(set(10).select(&[10]), &["below 10", "found 10"]);
    assert_mismatch(set(10).select(&[]), &["at least one"]);
}

/// Classes 0, 1 and 2 with these numbers of samples, interleaved where possible.
fn classes(counts: [i64; 3]) -> InMemory {
    let mut labels: Vec<(i64, i64)> =
        (0..3).flat_map(|class| (0..counts[class as usize]).map(move |i| (i, class))).collect();
    labels.sort_unstable();
    let labels: Vec<i64> = labels.into_iter().map(|(_, class)| class).collect();
    let labels = Tensor::from_slice(&labels);
    InMemory::new(["a"], [labels.to_kind(Kind::Float)], labels).unwrap()
}

fn counts(set: &InMemory) -> BTreeMap<i64, usize> {
    let mut counts = BTreeMap::new();
    for label in Vec::<i64>::try_from(set.targets()).unwrap() {
        *counts.entry(label).or_default() += 1;
    }
    counts
}

#[test]
fn a_part_held_out_by_class_has_its_share_of_every_class() {
    let all = classes([60, 30, 11]);
    for seed in 0..5 {
        let (rest, held) = all.hold_out_by_class(0.2, seed).unwrap();
        // Of 101 samples 20: 11.88, 5.94 and 2.18, rounded to the sum.
        assert_eq!(counts(&held), BTreeMap::from([(0, 12), (1, 6), (2, 2)]));
        assert_eq!(counts(&rest), BTreeMap::from([(0, 48), (1, 24), (2, 9)]));
        let mut ids = [rest.ids(), held.ids()].concat();
        assert!(rest.ids().is_sorted() && held.ids().is_sorted());
        ids.sort_unstable();
        assert_eq!(ids, (0..101).collect::<Vec<_>>());
    }
    let held = |seed| all.hold_out_by_class(0.2, seed).unwrap().1.ids().to_vec();
    assert_eq!(held(1), held(1));
    assert_ne!(held(1), held(2));

    let small = classes([60, 30, 1]).hold_out_by_class(0.2, 1);
    assert_mismatch(small, &["class 2", "0 of 1", "`hold_out`"]);
    let floats = Tensor::zeros([4], (Kind::Float, Device::Cpu));
    let values = InMemory::new(["a"], [floats.shallow_clone()], floats).unwrap();
    assert_mismatch(values.hold_out_by_class(0.5, 1), &["Int64 class labels", "Float"]);
    let rows = Tensor::zeros([4, 2], (Kind::Int64, Device::Cpu));
    let table = InMemory::new(["a"], [rows.shallow_clone()], rows).unwrap();
    assert_mismatch(table.hold_out_by_class(0.5, 1), &["[N] class labels", "[4, 2]"]);
}

#[test]
fn ids_extras_and_presence_follow_their_samples() {
    let flags: Vec<bool> = (0..10).map(|row| row != 4).collect();
    let weights = Tensor::arange(10, (Kind::Float, Device::Cpu));
    let set = set(10)
        .with_ids((0..10).map(|row| 1000 - row).collect::<Vec<_>>())
        .unwrap()
        .with_extra("weight", weights)
        .unwrap()
        .with_present("b", flags)
        .unwrap();
    assert_eq!(set.present(1).unwrap().iter().filter(|flag| !**flag).count(), 1);
    assert!(set.present(0).is_none());
    let (rest, held) = set.hold_out(0.4, 3).unwrap();
    let mut marked = Vec::new();
    for part in [&rest, &held, &rest.share()] {
        for batch in all(part, BatchOrder::shuffled(3, 1), 0) {
            let rows = Vec::<i64>::try_from(batch.targets()).unwrap();
            let ids: Vec<i64> = rows.iter().map(|row| 1000 - row).collect();
            assert_eq!(batch.ids().unwrap(), ids);
            assert!(batch.extra("weight").unwrap().equal(&batch.targets().to_kind(Kind::Float)));
            let present: Vec<bool> = rows.iter().map(|row| *row != 4).collect();
            match batch.present(1) {
                Some(found) => assert_eq!(found, present),
                None => assert!(!present.contains(&false)),
            }
            marked.extend(batch.present(1).map(|_| rows));
        }
    }
    assert!(!marked.is_empty(), "one batch has the sample without the modality");
}

#[test]
fn bytes_of_one_tensor_become_floats_and_named_tensors_keep_their_dtype() {
    let bytes = Tensor::from_slice(&[0_u8, 51, 255]);
    let text = Input::new("ids", bytes.shallow_clone()).with("mask", bytes.gt(0));
    let inputs = [Input::from(bytes.shallow_clone()), text];
    let set = InMemory::new(["image", "text"], inputs, bytes.to_kind(Kind::Int64)).unwrap();
    let batch = all(&set, BatchOrder::stored(3), 0).remove(0);
    assert!(batch.input(0).equal(&Tensor::from_slice(&[0.0_f32, 51.0 / 255.0, 1.0])));
    assert!(batch.input(1).equal(&bytes) && batch.input(1).kind() == Kind::Uint8);
    assert!(batch.tensor(1, "mask").unwrap().equal(&Tensor::from_slice(&[false, true, true])));
    assert_eq!(set.input(0).kind(), Kind::Uint8);
}

#[test]
fn inputs_and_targets_that_do_not_fit_are_errors() {
    let zeros = |shape: &[i64]| Tensor::zeros(shape, (Kind::Float, Device::Cpu));
    let new = |a: &[i64], b: &[i64], targets: &[i64]| {
        InMemory::new(["a", "b"], [zeros(a), zeros(b)], zeros(targets))
    };
    assert!(!new(&[3], &[3, 2], &[3]).unwrap().is_empty());
    assert_mismatch(new(&[3], &[2], &[3]), &["modality \"b\"", "[3, …]", "[2]"]);
    assert_mismatch(new(&[0], &[0], &[0]), &["targets", "at least 1"]);
    assert_mismatch(new(&[3], &[3, 0], &[3]), &["\"b\"", "without a dimension of 0", "[3, 0]"]);
    assert_mismatch(new(&[3], &[3], &[3, 0]), &["targets", "without a dimension of 0"]);
    assert_mismatch(new(&[3], &[3], &[]), &["targets", "[]"]);
    let text = Input::new("ids", zeros(&[3, 2])).with("mask", zeros(&[3, 0]));
    let set = InMemory::new(["a"], [text], zeros(&[3]));
    assert_mismatch(set, &["\"mask\" in the input of modality \"a\""]);

    let none: [Tensor; 0] = [];
    assert_mismatch(InMemory::new(["a", "b"], none, zeros(&[1])), &["\"a\", \"b\"", "inputs"]);
    let none: [(); 0] = [];
    let none = none.map(|()| "a");
    assert_mismatch(InMemory::new(none, none.map(|_| zeros(&[1])), zeros(&[1])), &["at least one"]);
    let twice = InMemory::new(["a", "a"], [zeros(&[1]), zeros(&[1])], zeros(&[1]));
    assert_mismatch(twice, &["\"a\" twice"]);
}

#[test]
fn ids_extras_and_flags_that_do_not_fit_are_errors() {
    assert_mismatch(set(3).with_ids([1, 2]), &["ids", "3, one per sample", "2"]);
    assert_mismatch(set(3).with_ids([1, 2, 1]), &["distinct ids", "1 twice"]);
    let extra = |rows| Tensor::zeros([rows], (Kind::Float, Device::Cpu));
    assert_mismatch(set(3).with_extra("weight", extra(2)), &["extra \"weight\"", "[3, …]", "[2]"]);
    assert_mismatch(set(3).with_present("c", [true; 3]), &["\"a\", \"b\"", "\"c\""]);
    assert_mismatch(set(3).with_present("a", [true; 2]), &["flags of modality \"a\"", "3"]);
    let half = set(3).with_present("a", [true, false, true]).unwrap();
    assert_mismatch(half.with_present("b", [true, false, true]), &["sample 1", "at least one of"]);
}
