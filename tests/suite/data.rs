//! Samples in memory and the batches made of them.

use g2d::Modality;
use g2d::data::{InMemory, Order};
use rand::{SeedableRng, rngs::StdRng};
use tch::{Device, Kind, Tensor};

use crate::support::assert_mismatch;

/// n samples; sample i has the inputs 10 i and 100 i and the target i.
fn set(n: i64) -> InMemory {
    let rows = Tensor::arange(n, (Kind::Int64, Device::Cpu));
    let inputs = vec![(&rows * 10).to_kind(Kind::Float), (&rows * 100).to_kind(Kind::Float)];
    InMemory::new(Modality::list(["a", "b"]), inputs, rows).unwrap()
}

/// The ids of all batches in order; asserts that inputs and targets belong to their ids.
fn ids(set: &InMemory, size: usize, order: Order<'_>) -> Vec<i64> {
    let mut all = Vec::new();
    for batch in set.batches(size, order, Device::Cpu) {
        let batch = batch.unwrap();
        let ids = batch.ids().unwrap();
        let id = Tensor::from_slice(ids);
        assert!(batch.targets().equal(&id));
        assert!(batch.input(0).equal(&(&id * 10).to_kind(Kind::Float)));
        assert!(batch.input(1).equal(&(&id * 100).to_kind(Kind::Float)));
        assert!(ids.len() <= size.max(1));
        all.extend_from_slice(ids);
    }
    all
}

#[test]
fn an_epoch_has_every_sample_once_with_its_id() {
    let set = set(10);
    let sorted = |mut ids: Vec<i64>| {
        ids.sort_unstable();
        ids
    };
    let stored: Vec<i64> = (0..10).collect();
    for size in [1, 3, 10, 99, 0] {
        assert_eq!(ids(&set, size, Order::Stored), stored);
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(sorted(ids(&set, size, Order::Shuffled(&mut rng))), stored);
    }
    let shuffled = |seed| ids(&set, 3, Order::Shuffled(&mut StdRng::seed_from_u64(seed)));
    assert_eq!(shuffled(7), shuffled(7));
    assert_ne!(shuffled(7), shuffled(8));
    assert_ne!(shuffled(7), stored);
    let mut rng = StdRng::seed_from_u64(7);
    let first = ids(&set, 3, Order::Shuffled(&mut rng));
    assert_ne!(first, ids(&set, 3, Order::Shuffled(&mut rng)), "epochs differ");
}

#[test]
fn a_held_out_part_is_disjoint_from_the_rest_and_keeps_its_ids() {
    let split = |seed| set(10).hold_out(0.3, &mut StdRng::seed_from_u64(seed)).unwrap();
    let (rest, held) = split(1);
    assert_eq!((rest.len(), held.len()), (7, 3));
    let (rest, held) = (ids(&rest, 4, Order::Stored), ids(&held, 4, Order::Stored));
    assert!(held.iter().all(|id| !rest.contains(id)));
    assert_eq!(ids(&split(1).1, 4, Order::Stored), held, "the same seed holds out the same");
    for share in [0.0, 1.0, 0.01, -1.0, f64::NAN] {
        let mut rng = StdRng::seed_from_u64(1);
        assert_mismatch(
            set(10).hold_out(share, &mut rng),
            &["10 samples", &share.to_string(), "between"],
        );
    }
    assert_eq!(ids(&set(10).first(4).unwrap(), 3, Order::Stored), [0, 1, 2, 3]);
    assert_eq!(set(10).first(99).unwrap().len(), 10);
    assert_mismatch(set(10).first(0), &["at least 1"]);
}

#[test]
fn every_target_needs_a_row_of_every_modality() {
    let new = |rows: [i64; 3]| {
        let zeros = |n| Tensor::zeros([n], (Kind::Float, Device::Cpu));
        let [a, b, targets] = rows.map(zeros);
        InMemory::new(Modality::list(["a", "b"]), vec![a, b], targets)
    };
    assert_mismatch(new([3, 2, 3]), &["[3, …]", "[[3], [2]]", "same number of rows"]);
    assert_mismatch(new([0, 0, 0]), &["at least 1"]);
    let one = InMemory::new(Modality::list(["a", "b"]), vec![], Tensor::from_slice(&[1_i64]));
    assert_mismatch(one, &["\"a\", \"b\"", "inputs"]);
    assert!(!new([3, 3, 3]).unwrap().is_empty());
}
