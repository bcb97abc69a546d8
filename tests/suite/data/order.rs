//! The order of the samples of an epoch.

use std::collections::BTreeSet;

use g2d::data::{BatchOrder, LastBatch, Part};

use crate::support::assert_mismatch;

fn sizes(batch_size: usize, last: LastBatch, samples: usize) -> Vec<usize> {
    let order = BatchOrder { last, ..BatchOrder::shuffled(batch_size, 1) };
    let batches = order.batches(samples, 0).unwrap();
    assert_eq!(order.batches_per_epoch(samples).unwrap(), batches.len());
    batches.iter().map(Vec::len).collect()
}

#[test]
fn an_epoch_has_every_sample_once() {
    let stored: Vec<usize> = (0..10).collect();
    for size in [1, 3, 10, 99] {
        let rows = |order: BatchOrder, epoch| order.batches(10, epoch).unwrap().concat();
        assert_eq!(rows(BatchOrder::stored(size), 4), stored);
        let shuffled = rows(BatchOrder::shuffled(size, 7), 4);
        assert_ne!(shuffled, stored);
        assert_eq!(BTreeSet::from_iter(shuffled), BTreeSet::from_iter(stored.clone()));
    }
}

#[test]
fn a_shuffled_order_is_a_function_of_seed_and_epoch() {
    let rows = |seed, epoch| BatchOrder::shuffled(4, seed).batches(40, epoch).unwrap();
    assert_eq!(rows(1, 2), rows(1, 2));
    let all = [rows(1, 2), rows(2, 1), rows(1, 3), rows(2, 2)];
    for (i, order) in all.iter().enumerate() {
        assert!(all[..i].iter().all(|other| other != order), "{i}");
    }
}

#[test]
fn a_last_batch_is_kept_or_left_out() {
    use LastBatch::{Drop, DropSingle, Keep};
    for (last, expected) in [(Keep, vec![3, 3, 1]), (DropSingle, vec![3, 3]), (Drop, vec![3, 3])] {
        assert_eq!(sizes(3, last, 7), expected, "{last:?}");
    }
    for (last, expected) in [(Keep, vec![3, 3, 2]), (DropSingle, vec![3, 3, 2]), (Drop, vec![3, 3])]
    {
        assert_eq!(sizes(3, last, 8), expected, "{last:?}");
    }
    for last in [Keep, DropSingle, Drop] {
        assert_eq!(sizes(3, last, 6), [3, 3], "{last:?}");
        assert_eq!(sizes(1, last, 2), [1, 1], "a batch size of 1 is the caller's choice");
    }
}

#[test]
fn an_epoch_without_batches_is_an_error() {
    let batches = |batch_size, last, samples| {
        BatchOrder { last, ..BatchOrder::stored(batch_size) }.batches(samples, 0)
    };
    assert_mismatch(batches(0, LastBatch::Keep, 5), &["batch size", "at least 1"]);
    assert_mismatch(batches(2, LastBatch::Keep, 0), &["samples of an epoch", "data set"]);
    assert_mismatch(batches(8, LastBatch::Drop, 5), &["8 of 5 samples", "LastBatch::Keep"]);
    assert_mismatch(batches(8, LastBatch::DropSingle, 1), &["8 of 1 samples", "DropSingle"]);
}

#[test]
fn the_ranks_of_a_group_read_the_batches_of_one_process() {
    for (samples, size, ranks) in [(20, 6, 2), (20, 6, 3), (21, 6, 4), (23, 5, 5), (9, 9, 2)] {
        let order = BatchOrder::shuffled(size, 3);
        let whole = order.batches(samples, 1).unwrap();
        let part = |rank| order.for_rank(rank, ranks).batches(samples, 1).unwrap();
        let parts: Vec<_> = (0..ranks).map(part).collect();
        let is_read = |batch: &&Vec<usize>| batch.len() >= ranks;
        let read: Vec<_> = whole.iter().filter(is_read).collect();
        for (rank, own) in parts.iter().enumerate() {
            assert_eq!(own.len(), read.len(), "as many batches on each rank");
            assert_eq!(order.for_rank(rank, ranks).batches_per_epoch(samples).unwrap(), own.len());
            assert!(own.iter().all(|batch| !batch.is_empty()));
        }
        for (b, batch) in read.into_iter().enumerate() {
            let joined: Vec<usize> = parts.iter().flat_map(|own| own[b].clone()).collect();
            assert_eq!(joined, *batch);
        }
    }
}

#[test]
fn a_last_batch_with_one_sample_on_some_rank_is_left_out() {
    let batches = |samples| {
        let order = BatchOrder { last: LastBatch::DropSingle, ..BatchOrder::stored(8) };
        order.for_rank(0, 2).batches(samples, 0).unwrap().len()
    };
    assert_eq!([8, 10, 11, 12].map(batches), [1, 1, 1, 2]);
}

#[test]
fn ranks_out_of_range_and_batches_below_their_number_are_refused() {
    let order = BatchOrder::stored(4);
    assert_mismatch(order.for_rank(2, 2).batches(9, 0), &["part of a batch", "below 2"]);
    assert_mismatch(order.for_rank(0, 5).batches(9, 0), &["batch size", "at least 5"]);
}

#[test]
fn parts_of_a_data_set_have_each_row_once() {
    for (rows, ranks) in [(10, 3), (2, 4), (0, 2)] {
        let part = |rank| Part { rank, ranks }.rows(rows);
        assert_eq!((0..ranks).flat_map(part).collect::<Vec<_>>(), Vec::from_iter(0..rows));
    }
}
