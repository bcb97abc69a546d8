//! The iterator over the batches of an epoch.

use std::{
    fmt,
    iter::FusedIterator,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tch::Device;

use super::workers::Workers;
use crate::batch::Batch;
use crate::error::Result;

/// The batches of an epoch, in order, returned by [`Loader::batches`](super::Loader::batches).
pub struct LoaderBatches {
    workers: Workers,
    /// Starts to prefetch the next epoch.
    start_next: Option<Box<dyn FnOnce() + Send>>,
}

/// Workers that have started an epoch before its first batch is requested.
#[derive(Debug)]
pub(super) struct NextEpoch {
    pub epoch: u64,
    pub device: Device,
    pub workers: Workers,
}

impl NextEpoch {
    pub fn is_of(&self, epoch: u64, device: Device) -> bool {
        (self.epoch, self.device) == (epoch, device)
    }
}

pub(super) fn lock(slot: &Mutex<Option<NextEpoch>>) -> MutexGuard<'_, Option<NextEpoch>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoaderBatches {
    pub(super) fn new(workers: Workers, start_next: Option<Box<dyn FnOnce() + Send>>) -> Self {
        Self { workers, start_next }
    }
}

impl Iterator for LoaderBatches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.workers.next_batch()?;
        if batch.is_ok() && self.workers.are_assigned() {
            self.start_next.take().into_iter().for_each(|start| start());
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        // An error ends the iteration early.
        (0, Some(self.workers.remaining()))
    }
}

impl FusedIterator for LoaderBatches {}

impl fmt::Debug for LoaderBatches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoaderBatches").field("workers", &self.workers).finish_non_exhaustive()
    }
}
