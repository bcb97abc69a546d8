//! A data set of samples that worker threads read.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use g2d::{
    Batch, Result,
    data::{BatchOrder, Dataset, Loader, LoaderOptions, Sample},
    error,
};
use rand::{Rng, rngs::StdRng};
use tch::{Device, Tensor};

use crate::support::{assert_error, assert_mismatch, assert_same_batch};

const SAMPLES: usize = 20;
const AHEAD: usize = 3;

/// What a test observes and controls of a data set.
#[derive(Debug, Default)]
struct Control {
    /// The indices read so far.
    read: Mutex<Vec<usize>>,
    /// Samples from this index on are an error.
    end: AtomicUsize,
}

impl Control {
    fn new() -> Arc<Self> {
        Arc::new(Self { read: Mutex::default(), end: AtomicUsize::new(usize::MAX) })
    }

    fn reads(&self) -> Vec<usize> {
        self.read.lock().unwrap().clone()
    }

    /// Waits until exactly `count` samples are read.
    #[track_caller]
    fn wait_for(&self, count: usize) {
        let start = Instant::now();
        while self.reads().len() != count {
            let found = self.reads().len();
            assert!(start.elapsed() < Duration::from_secs(60), "{found} samples of {count}");
            std::thread::yield_now();
        }
    }
}

/// Sample i has the id i + 100, the target i, a number under noise, and in two of three cases a sequence.
#[derive(Debug)]
struct Numbers(Arc<Control>);

impl Dataset for Numbers {
    fn len(&self) -> usize {
        SAMPLES
    }

    fn id(&self, index: usize) -> i64 {
        index as i64 + 100
    }

    fn sample(&self, index: usize, rng: &mut StdRng) -> Result<Sample> {
        if index >= self.0.end.load(Ordering::SeqCst) {
            return Err(error::config("sample", "an index below the end", index, "test"));
        }
        let noisy = Tensor::from_slice(&[index as f32 + rng.random::<f32>()]);
        let sequence = (!index.is_multiple_of(3))
            .then(|| Tensor::full([index as i64], 1, tch::kind::INT64_CPU));
        let sample = Sample::new(index as i64).input(noisy).sequence_or_missing(sequence);
        self.0.read.lock().unwrap().push(index);
        Ok(sample)
    }
}

fn options(workers: usize) -> LoaderOptions {
    LoaderOptions { workers, ahead: AHEAD, ..LoaderOptions::default() }
}

fn loader(order: BatchOrder, options: LoaderOptions) -> Loader<Numbers> {
    Loader::new(Numbers(Control::new()), order, options).unwrap()
}

fn all(loader: &Loader<impl Dataset + 'static>, epoch: u64) -> Vec<Batch> {
    loader.batches(epoch, Device::Cpu).map(Result::unwrap).collect()
}

fn ids(batches: &[Batch]) -> Vec<i64> {
    batches.iter().flat_map(|batch| batch.ids().unwrap().to_vec()).collect()
}

#[track_caller]
fn assert_same(left: &[Batch], right: &[Batch]) {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).for_each(|(l, r)| assert_same_batch(l, r));
}

#[test]
fn batches_are_a_function_of_seed_and_epoch_whatever_the_number_of_workers() {
    let order = BatchOrder::shuffled(3, 7);
    let one = loader(order, options(1));
    for workers in [2, 4] {
        let other = loader(order, options(workers));
        // In another order of epochs.
        for epoch in [2, 0, 1] {
            assert_same(&all(&one, epoch), &all(&other, epoch));
        }
    }
    let epoch = all(&one, 0);
    assert_eq!(epoch.len(), one.batches_per_epoch().unwrap());
    let expected: BTreeSet<i64> = (100..120).collect();
    assert_eq!(BTreeSet::from_iter(ids(&epoch)), expected);
    assert_ne!(ids(&epoch), ids(&all(&one, 1)));
    assert_ne!(ids(&epoch), ids(&all(&loader(BatchOrder::shuffled(3, 8), options(1)), 0)));
}

#[test]
fn a_batch_has_the_ids_targets_and_present_modalities_of_its_samples() {
    for batch in all(&loader(BatchOrder::shuffled(4, 1), options(2)), 0) {
        let ids = batch.ids().unwrap();
        let indices: Vec<i64> = ids.iter().map(|id| id - 100).collect();
        assert!(batch.targets().equal(&Tensor::from_slice(&indices)));
        assert!(batch.present(0).is_none());
        let present: Vec<bool> = indices.iter().map(|index| index % 3 > 0).collect();
        let flags = batch.present(1).map_or(vec![true; present.len()], <[bool]>::to_vec);
        assert_eq!(flags, present);
        let longest = indices.iter().filter(|index| *index % 3 > 0).max();
        assert_eq!(batch.input(1).size()[1], longest.copied().unwrap_or(0));
    }
}

#[test]
fn the_augmentation_of_a_sample_depends_on_seed_epoch_and_id_alone() {
    let values = |order: BatchOrder, epoch| -> Vec<f32> {
        let mut values: Vec<f32> = all(&loader(order, options(2)), epoch)
            .iter()
            .flat_map(|batch| Vec::<f32>::try_from(batch.input(0).flatten(0, -1)).unwrap())
            .collect();
        values.sort_by(f32::total_cmp);
        values
    };
    let shuffled = values(BatchOrder::shuffled(3, 7), 1);
    assert_eq!(shuffled, values(BatchOrder { seed: 7, ..BatchOrder::stored(5) }, 1));
    assert_ne!(shuffled, values(BatchOrder::shuffled(3, 7), 2));
    assert_ne!(shuffled, values(BatchOrder::shuffled(3, 8), 1));
}

#[test]
fn workers_read_the_configured_number_of_batches_ahead() {
    for workers in [1, 2, 4] {
        let loader = loader(BatchOrder::stored(2), options(workers));
        let control = &loader.dataset().0;
        control.end.store(2 * AHEAD, Ordering::SeqCst);
        let mut batches = loader.batches(0, Device::Cpu);
        for taken in 0..SAMPLES / 2 {
            // All samples that may be read are read before the next batch is taken; another one would be
            // an error in place of its batch.
            let read = SAMPLES.min(2 * (AHEAD + taken));
            control.wait_for(read);
            control.end.store(read + 2, Ordering::SeqCst);
            batches.next().unwrap().unwrap();
        }
        assert!(batches.next().is_none());
    }
}

#[test]
fn dropping_an_iterator_early_stops_its_workers() {
    for overlap_epochs in [false, true] {
        let options = LoaderOptions { overlap_epochs, ..options(2) };
        let loader = loader(BatchOrder::stored(2), options);
        let control = Arc::clone(&loader.dataset().0);
        for taken in 0..3 {
            control.read.lock().unwrap().clear();
            let mut batches = loader.batches(0, Device::Cpu);
            batches.by_ref().take(taken).for_each(|batch| drop(batch.unwrap()));
            drop(batches);
            assert!(control.reads().len() <= 2 * (AHEAD + taken));
        }
        let mut batches = loader.batches(0, Device::Cpu);
        assert_eq!(batches.by_ref().map(Result::unwrap).count(), SAMPLES / 2, "it still works");
        drop((batches, loader));
        // Threads that still ran would hold the data set.
        assert_eq!(Arc::strong_count(&control), 1);
    }
}

#[test]
fn a_run_resumes_after_a_batch_without_reading_those_before() {
    let loader = loader(BatchOrder::shuffled(3, 7), options(2));
    let whole = all(&loader, 4);
    for done in [1, 5, 7] {
        loader.dataset().0.read.lock().unwrap().clear();
        let rest: Vec<Batch> =
            loader.batches_after(done, 4, Device::Cpu).map(Result::unwrap).collect();
        assert_same(&whole[done..], &rest);
        let read: BTreeSet<i64> =
            loader.dataset().0.reads().iter().map(|&index| index as i64 + 100).collect();
        assert_eq!(read, BTreeSet::from_iter(ids(&rest)));
    }
    assert_same(
        &whole,
        &loader.batches_after(0, 4, Device::Cpu).map(Result::unwrap).collect::<Vec<_>>(),
    );
    let mut batches = loader.batches_after(8, 4, Device::Cpu);
    assert_mismatch(batches.next().unwrap(), &["epoch 4", "at most 7", "8"]);
    assert!(batches.next().is_none());
}

#[test]
fn an_epoch_is_prefetched_during_the_one_before() {
    let order = BatchOrder::shuffled(2, 7);
    let plain = loader(order, options(2));
    let overlapping = loader(order, LoaderOptions { overlap_epochs: true, ..options(2) });
    let control = &overlapping.dataset().0;
    assert_same(&all(&plain, 0), &all(&overlapping, 0));
    control.wait_for(SAMPLES + 2 * AHEAD);
    assert_same(&all(&plain, 1), &all(&overlapping, 1));
    control.wait_for(2 * SAMPLES + 2 * AHEAD);
    // Another epoch than the prefetched one.
    assert_same(&all(&plain, 5), &all(&overlapping, 5));
    let rest: Vec<Batch> =
        overlapping.batches_after(4, 6, Device::Cpu).map(Result::unwrap).collect();
    assert_same(&all(&plain, 6)[4..], &rest);
    assert_same(&all(&plain, 7), &all(&overlapping, 7));
}

#[test]
fn batches_of_an_own_order_may_repeat_samples() {
    let loader = loader(BatchOrder::stored(3), options(2));
    let batches = loader.batches_of(vec![vec![3, 3], vec![0]], 0, Device::Cpu);
    let batches: Vec<Batch> = batches.map(Result::unwrap).collect();
    assert_eq!(ids(&batches), [103, 103, 100]);
    let mut batches = loader.batches_of(vec![vec![SAMPLES]], 0, Device::Cpu);
    assert_mismatch(batches.next().unwrap(), &["index of a sample", "below 20", "found 20"]);
    let mut batches = loader.batches_of(vec![vec![]], 0, Device::Cpu);
    assert_mismatch(batches.next().unwrap(), &["samples of a batch", "at least one"]);
}

#[test]
fn an_error_takes_the_place_of_its_batch_and_ends_the_iteration() {
    for workers in [1, 3] {
        let loader = loader(BatchOrder::stored(2), options(workers));
        loader.dataset().0.end.store(3, Ordering::SeqCst);
        let mut batches = loader.batches(0, Device::Cpu);
        assert_eq!(batches.next().unwrap().unwrap().ids(), Some(&[100, 101][..]));
        assert_mismatch(batches.next().unwrap(), &["below the end", "found 3"]);
        assert!(batches.next().is_none() && batches.next().is_none());
    }
}

/// A data set that panics, and one whose batches have another number of samples.
enum Faulty {
    InSample,
    InCollate,
    Rows,
}

impl Dataset for Faulty {
    fn len(&self) -> usize {
        6
    }

    fn sample(&self, index: usize, _rng: &mut StdRng) -> Result<Sample> {
        assert!(index != 3 || !matches!(self, Self::InSample), "sample {index} is broken");
        Ok(Sample::new(0_i64).input(Tensor::from(1.0_f32)))
    }

    fn collate(&self, mut samples: Vec<Sample>) -> Result<Batch> {
        match self {
            Self::InSample => {}
            Self::InCollate => panic!("no batch"),
            Self::Rows => drop(samples.pop()),
        }
        g2d::data::collate(samples)
    }
}

#[test]
fn a_panic_of_the_data_set_is_an_error_of_the_caller() {
    for workers in [1, 2, 4] {
        let first_error = |set: Faulty| {
            let set: Box<dyn Dataset> = Box::new(set);
            let loader = Loader::new(set, BatchOrder::stored(2), options(workers)).unwrap();
            let mut batches = loader.batches(0, Device::Cpu);
            let error = batches.find_map(Result::err).unwrap();
            assert!(batches.next().is_none());
            Err::<(), _>(error)
        };
        let words = ["`Dataset::sample` panicked", "index 3, epoch 0", ": sample 3 is broken"];
        assert_error(first_error(Faulty::InSample), &words);
        let words = ["`Dataset::collate` panicked", "samples [0, 1] by id", ": no batch"];
        assert_error(first_error(Faulty::InCollate), &words);
        let words = ["samples of a batch", "expected 2, found 1", "collate"];
        assert_mismatch(first_error(Faulty::Rows), &words);
    }
}

#[test]
fn options_out_of_range_are_errors() {
    let new = |order, options| Loader::new(Numbers(Control::new()), order, options).map(|_| ());
    assert!(new(BatchOrder::stored(2), options(1)).is_ok());
    assert_mismatch(new(BatchOrder::stored(2), options(0)), &["workers 0", "at least 1"]);
    let none_ahead = LoaderOptions { ahead: 0, ..options(1) };
    assert_mismatch(new(BatchOrder::stored(2), none_ahead), &["ahead 0", "at least 1"]);
    assert_mismatch(new(BatchOrder::stored(0), options(1)), &["batch size"]);
}
