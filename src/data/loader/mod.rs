//! Batches of a user's data set, read on worker threads ahead of training.

mod epoch;
mod read;
mod workers;

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tch::Device;

pub use epoch::LoaderBatches;

use self::{epoch::NextEpoch, read::Reader, workers::Workers};
use super::{BatchOrder, Dataset};
use crate::error::{self, Result};

/// Options of a [`Loader`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderOptions {
    /// The number of threads that read samples; at least 1.
    pub workers: usize,
    /// The number of batches that are prefetched at most; at least 1.
    pub ahead: usize,
    /// Whether the first batches of the next epoch are prefetched while the last ones of an epoch are
    /// trained on, and during validation. After the last epoch they are read for nothing.
    pub overlap_epochs: bool,
}

impl Default for LoaderOptions {
    /// One worker, four batches ahead, epoch by epoch.
    fn default() -> Self {
        Self { workers: 1, ahead: 4, overlap_epochs: false }
    }
}

impl LoaderOptions {
    fn check(&self) -> Result<()> {
        let Self { workers, ahead, .. } = *self;
        if workers > 0 && ahead > 0 {
            return Ok(());
        }
        let found = format!("workers {workers}, ahead {ahead}");
        Err(error::out_of_range("loader options", "at least 1 of each", found))
    }
}

/// Reads the batches of a [`Dataset`] on worker threads, ahead of the training loop.
///
/// The batches of an epoch are a function of the data set, the [`BatchOrder`] and the epoch, bit by bit:
/// not of the number of workers, and not of the epochs before. Clones share the data set.
///
/// The example is at [`Dataset`].
#[derive(Debug)]
pub struct Loader<D> {
    reader: Arc<Reader<D>>,
    order: BatchOrder,
    options: LoaderOptions,
    next: Arc<Mutex<Option<NextEpoch>>>,
}

impl<D> Clone for Loader<D> {
    /// A loader of the same data set, with prefetched batches of its own.
    fn clone(&self) -> Self {
        let Self { ref reader, order, options, .. } = *self;
        Self { reader: Arc::clone(reader), order, options, next: Arc::default() }
    }
}

impl<D: Dataset + 'static> Loader<D> {
    /// A loader of all samples of `dataset`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for options out of range, and for a data set and an order
    /// that give no batch.
    pub fn new(dataset: D, order: BatchOrder, options: LoaderOptions) -> Result<Self> {
        options.check()?;
        order.batches_per_epoch(dataset.len())?;
        let reader = Arc::new(Reader { dataset, seed: order.seed });
        Ok(Self { reader, order, options, next: Arc::default() })
    }

    /// The data set.
    pub fn dataset(&self) -> &D {
        &self.reader.dataset
    }

    /// The number of batches of an epoch.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the data set has become empty.
    pub fn batches_per_epoch(&self) -> Result<usize> {
        self.order.batches_per_epoch(self.dataset().len())
    }

    /// Iterates over the batches of `epoch` on `device`.
    ///
    /// The workers start at once and prefetch up to [`LoaderOptions::ahead`] batches; for a GPU they pin
    /// their memory, so that the copy to the GPU is asynchronous. The batches arrive in order, with their
    /// ids. An error, or a panic of the data set, takes the place of its batch as an error and ends the
    /// iteration. Dropping the iterator stops the workers and waits until each has finished its current
    /// sample.
    pub fn batches(&self, epoch: u64, device: Device) -> LoaderBatches {
        self.batches_after(0, epoch, device)
    }

    /// Iterates over the batches of `epoch` after the first `done` ones, which are not read: for a run
    /// that resumes within an epoch. More than there are is an error in place of the first batch.
    pub fn batches_after(&self, done: usize, epoch: u64, device: Device) -> LoaderBatches {
        let prefetched = self.take_next().filter(|next| done == 0 && next.is_of(epoch, device));
        let prefetched = prefetched.map(|next| next.workers);
        let workers = prefetched.unwrap_or_else(|| self.start(done, epoch, device));
        if !self.options.overlap_epochs {
            return LoaderBatches::new(workers, None);
        }
        let (slot, own) = (Arc::clone(&self.next), self.clone());
        let start_next = move || {
            let epoch = epoch + 1;
            let next = NextEpoch { epoch, device, workers: own.start(0, epoch, device) };
            *epoch::lock(&slot) = Some(next);
        };
        LoaderBatches::new(workers, Some(Box::new(start_next)))
    }

    /// Iterates over batches of the samples at these indices, in an order of your own, with the
    /// augmentation of `epoch`.
    pub fn batches_of(
        &self,
        indices: Vec<Vec<usize>>,
        epoch: u64,
        device: Device,
    ) -> LoaderBatches {
        LoaderBatches::new(self.start_on(indices, epoch, device), None)
    }

    /// The batches that were prefetched for another epoch.
    fn take_next(&self) -> Option<NextEpoch> {
        epoch::lock(&self.next).take()
    }

    fn start(&self, done: usize, epoch: u64, device: Device) -> Workers {
        let rest = self.order.batches(self.dataset().len(), epoch).and_then(|mut batches| {
            if done <= batches.len() {
                return Ok(batches.split_off(done));
            }
            let what = format!("batches of epoch {epoch} to leave out");
            let expected = format!("at most {}, the batches of an epoch", batches.len());
            let hint = "resume with the data and the batch size that the run was started with";
            Err(error::config(what, expected, done, hint))
        });
        match rest {
            Ok(rest) => self.start_on(rest, epoch, device),
            Err(error) => Workers::failed(error),
        }
    }

    fn start_on(&self, indices: Vec<Vec<usize>>, epoch: u64, device: Device) -> Workers {
        let (reader, count) = (Arc::clone(&self.reader), indices.len());
        let LoaderOptions { workers, ahead, .. } = self.options;
        let read = move |i: usize, stopped: &_| {
            let batch = reader.batch(&indices[i], epoch, stopped)?;
            batch.map(|b| if device.is_cuda() { b.pin_memory() } else { Ok(b) }).transpose()
        };
        Workers::start(count, workers, ahead, device, Arc::new(read))
    }
}
