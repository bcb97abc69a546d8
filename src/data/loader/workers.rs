//! Threads that read batches ahead of the caller.

use std::{
    collections::BTreeMap,
    ops::Range,
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

/// Reads batch `i`; returns `Ok(None)` once the flag is set. Does not panic.
pub(super) type Read = dyn Fn(usize, &AtomicBool) -> Result<Option<Batch>> + Send + Sync;

/// Worker threads, and the batches that they have read.
#[derive(Debug)]
pub(super) struct Workers {
    device: Device,
    /// The indices of the batches still to be returned.
    remaining: Range<usize>,
    /// The indices of the batches still to be assigned to workers.
    unassigned: Range<usize>,
    /// Assigns indices to workers, which end when it is dropped.
    assign: Option<Sender<usize>>,
    read: Receiver<(usize, Result<Batch>)>,
    /// Batches that were read before one with a lower index.
    early: BTreeMap<usize, Result<Batch>>,
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `workers` threads that read the batches 0..`count`, at most `ahead` before the caller.
    pub fn start(
        count: usize,
        workers: usize,
        ahead: usize,
        device: Device,
        read: Arc<Read>,
    ) -> Self {
        let (assign, assigned) = mpsc::channel();
        let (put, received) = mpsc::channel();
        let mut own = Self {
            device,
            remaining: 0..count,
            unassigned: 0..count,
            assign: Some(assign),
            read: received,
            early: BTreeMap::new(),
            stopped: Arc::default(),
            threads: Vec::new(),
        };
        (0..ahead).for_each(|_| own.assign_next());
        let assigned = Arc::new(Mutex::new(assigned));
        for worker in 0..workers.min(count) {
            let (assigned, put) = (Arc::clone(&assigned), put.clone());
            let (read, stopped) = (Arc::clone(&read), Arc::clone(&own.stopped));
            let builder = Builder::new().name(format!("g2d-loader-{worker}"));
            match builder.spawn(move || work(&assigned, &put, &*read, &stopped)) {
                Ok(thread) => own.threads.push(thread),
                Err(e) => {
                    let expected = format!("{workers} threads");
                    let error = error::config("loader", expected, e, "use fewer workers");
                    own.early.insert(0, Err(error));
                    break;
                }
            }
        }
        own
    }

    /// No thread, and an error in place of the first batch.
    pub fn failed(error: Error) -> Self {
        let no_batch = |_, _: &AtomicBool| Ok(None);
        let mut own = Self::start(0, 0, 0, Device::Cpu, Arc::new(no_batch));
        own.remaining = 0..1;
        own.early.insert(0, Err(error));
        own
    }

    /// The number of batches that are not yet returned.
    pub fn remaining(&self) -> usize {
        self.remaining.len()
    }

    /// Returns whether no batch is left to be assigned to a worker.
    pub fn are_assigned(&self) -> bool {
        self.unassigned.is_empty()
    }

    /// Waits for the next batch and returns it on the device. The iteration ends after an error.
    pub fn next_batch(&mut self) -> Option<Result<Batch>> {
        let next = self.remaining.next()?;
        let batch = self.wait_for(next);
        self.assign_next();
        let batch = batch.and_then(|batch| match self.device {
            Device::Cpu => Ok(batch),
            device => batch.to_device(device),
        });
        if batch.is_err() {
            self.stop();
        }
        Some(batch)
    }

    fn wait_for(&mut self, next: usize) -> Result<Batch> {
        loop {
            if let Some(batch) = self.early.remove(&next) {
                return batch;
            }
            let Ok((i, batch)) = self.read.recv() else {
                let hint = "report it: a worker ended without an error";
                return Err(error::config("loader", "a batch", "no running worker", hint));
            };
            self.early.insert(i, batch);
        }
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
    read: &Read,
    stopped: &AtomicBool,
) {
    let claim = || assigned.lock().unwrap_or_else(PoisonError::into_inner).recv();
    while let Ok(i) = claim() {
        let Some(batch) = read(i, stopped).transpose() else { return };
        if put.send((i, batch)).is_err() {
            return;
        }
    }
}

impl Drop for Workers {
    /// Stops the threads and waits until each has finished its current sample.
    fn drop(&mut self) {
        self.stop();
        for thread in self.threads.drain(..) {
            // A panic of the data set was returned as an error.
            let _ = thread.join();
        }
    }
}
