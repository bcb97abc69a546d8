//! The iterator over one epoch's batches, and the workers behind it.

use std::{
    any::Any,
    iter::FusedIterator,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};

use tch::Device;

use super::queue::OrderedQueue;
use crate::{
    batch::Batch,
    error::{self, Error, Result},
};

/// Makes batch `i`, or gives up with `Ok(None)` once the function says that it was stopped.
pub(super) type Make = dyn Fn(usize, &dyn Fn() -> bool) -> Result<Option<Batch>> + Send + Sync;

/// One epoch's batches, in order; see [`ClipLoader::batches`](super::ClipLoader::batches).
#[derive(Debug)]
pub struct ClipBatches {
    queue: Arc<OrderedQueue<Result<Batch>>>,
    workers: Vec<JoinHandle<()>>,
    device: Device,
    /// A worker that could not be started.
    failed: Option<Error>,
    left: usize,
}

impl ClipBatches {
    pub(super) fn start(
        count: usize,
        workers: usize,
        ahead: usize,
        device: Device,
        make: Arc<Make>,
    ) -> Self {
        let queue = Arc::new(OrderedQueue::new(count, ahead));
        let mut batches = Self { queue, workers: Vec::new(), device, failed: None, left: count };
        for worker in 0..workers.min(count) {
            let (queue, make) = (Arc::clone(&batches.queue), Arc::clone(&make));
            let builder = Builder::new().name(format!("g2d-loader-{worker}"));
            match builder.spawn(move || work(&queue, &*make)) {
                Ok(handle) => batches.workers.push(handle),
                Err(e) => {
                    let found = e.to_string();
                    let expected = format!("{workers} threads");
                    let hint = "use fewer workers";
                    batches.failed = Some(error::config("loader", expected, found, hint));
                    break;
                }
            }
        }
        batches
    }

    /// Ends the iteration.
    fn stop(&mut self) {
        self.left = 0;
        self.queue.stop();
    }
}

fn work(queue: &OrderedQueue<Result<Batch>>, make: &Make) {
    while let Some(i) = queue.claim() {
        // A decoder that panics on a damaged file must not leave the caller waiting for ever.
        let made = catch_unwind(AssertUnwindSafe(|| make(i, &|| queue.is_stopped())));
        match made.unwrap_or_else(|panic| Err(panicked(&*panic))) {
            Ok(Some(batch)) => queue.put(i, Ok(batch)),
            Ok(None) => return,
            Err(error) => queue.put(i, Err(error)),
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    error::config("loader", "a batch", format!("a panic: {text}"), "report it with the file")
}

impl Iterator for ClipBatches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let taken = match self.failed.take() {
            Some(error) => Err(error),
            None => self.queue.take()?,
        };
        self.left -= 1;
        let batch = taken.and_then(|batch| match self.device {
            Device::Cpu => Ok(batch),
            device => batch.to_device(device),
        });
        if batch.is_err() {
            self.stop();
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

impl FusedIterator for ClipBatches {}

impl Drop for ClipBatches {
    /// Stops the workers and waits until each has finished the sample in its hands.
    fn drop(&mut self) {
        self.stop();
        for worker in self.workers.drain(..) {
            // A worker's panic has been reported by `next`.
            let _ = worker.join();
        }
    }
}
