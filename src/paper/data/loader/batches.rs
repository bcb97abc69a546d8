//! The iterator over the batches of one epoch, and its workers.

use std::{
    any::Any,
    collections::BTreeMap,
    iter::FusedIterator,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, Sender},
    },
    thread::{Builder, JoinHandle},
};

use tch::Device;

use crate::batch::Batch;
use crate::error::{self, Error, Result};

/// Loads batch `i`; returns `Ok(None)` once the flag is set.
pub(super) type Load = dyn Fn(usize, &AtomicBool) -> Result<Option<Batch>> + Send + Sync;

/// The batches of one epoch, in order, returned by [`ClipLoader::batches`](super::ClipLoader::batches).
#[derive(Debug)]
pub struct ClipBatches {
    device: Device,
    /// The indices of the batches still to be returned.
    remaining: Range<usize>,
    /// The indices of the batches still to be assigned to workers.
    unassigned: Range<usize>,
    /// Assigns indices to workers, which end when it is dropped.
    assign: Option<Sender<usize>>,
    loaded: Receiver<(usize, Result<Batch>)>,
    /// Batches that were loaded before one with a lower index.
    early: BTreeMap<usize, Result<Batch>>,
    stopped: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
}

impl ClipBatches {
    /// Starts `workers` threads that load the batches 0..`count`, at most `ahead` before the caller.
    pub(super) fn start(
        count: usize,
        workers: usize,
        ahead: usize,
        device: Device,
        load: Arc<Load>,
    ) -> Self {
        let (assign, assigned) = mpsc::channel();
        let (put, loaded) = mpsc::channel();
        let mut batches = Self {
            device,
            remaining: 0..count,
            unassigned: 0..count,
            assign: Some(assign),
            loaded,
            early: BTreeMap::new(),
            stopped: Arc::default(),
            workers: Vec::new(),
        };
        (0..ahead).for_each(|_| batches.assign_next());
        let assigned = Arc::new(Mutex::new(assigned));
        for worker in 0..workers.min(count) {
            let (assigned, put) = (Arc::clone(&assigned), put.clone());
            let (load, stopped) = (Arc::clone(&load), Arc::clone(&batches.stopped));
            let builder = Builder::new().name(format!("g2d-loader-{worker}"));
            match builder.spawn(move || work(&assigned, &put, &*load, &stopped)) {
                Ok(handle) => batches.workers.push(handle),
                Err(e) => {
                    let expected = format!("{workers} threads");
                    let error = error::config("loader", expected, e, "use fewer workers");
                    batches.early.insert(0, Err(error));
                    break;
                }
            }
        }
        batches
    }

    /// Assigns the next index; workers end after the last one.
    fn assign_next(&mut self) {
        let sent = match (&self.assign, self.unassigned.next()) {
            (Some(assign), Some(i)) => assign.send(i).is_ok(),
            _ => false,
        };
        if !sent {
            self.assign = None;
        }
    }

    /// Ends the iteration.
    fn stop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.assign = None;
        self.remaining = 0..0;
    }
}

fn work(
    assigned: &Mutex<Receiver<usize>>,
    put: &Sender<(usize, Result<Batch>)>,
    load: &Load,
    stopped: &AtomicBool,
) {
    let claim = || assigned.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(i) = claim() {
        // Without this, the caller would wait forever for the batch of a decoder that panics.
        let loaded = catch_unwind(AssertUnwindSafe(|| load(i, stopped)));
        let batch = loaded.unwrap_or_else(|panic| Err(panicked(&*panic))).transpose();
        let Some(batch) = batch else { return };
        if put.send((i, batch)).is_err() {
            return;
        }
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    error::config("loader", "a batch", format_args!("a panic: {text}"), "report it with the file")
}

impl Iterator for ClipBatches {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.remaining.next()?;
        let loaded = loop {
            if let Some(batch) = self.early.remove(&next) {
                break batch;
            }
            let (i, batch) = self.loaded.recv().ok()?;
            self.early.insert(i, batch);
        };
        self.assign_next();
        let batch = loaded.and_then(|batch| match self.device {
            Device::Cpu => Ok(batch),
            device => batch.to_device(device),
        });
        if batch.is_err() {
            self.stop();
        }
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.remaining.len()))
    }
}

impl FusedIterator for ClipBatches {}

impl Drop for ClipBatches {
    /// Stops the workers and waits until each has finished its current sample.
    fn drop(&mut self) {
        self.stop();
        for worker in self.workers.drain(..) {
            // `next` has returned the worker's panic as an error.
            let _ = worker.join();
        }
    }
}
