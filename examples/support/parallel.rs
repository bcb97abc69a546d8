//! Several trainings at a time, with a fixed number of threads each.

use std::{
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use anyhow::{Result, anyhow};

/// The trainings at a time, and the threads of each.
#[derive(Debug, Clone, Copy)]
pub struct Workers {
    pub jobs: usize,
    pub threads: usize,
}

impl Workers {
    /// Runs `work` on every job in their order, several at a time, and passes each result with the index of its job to
    /// `done`, on the calling thread. After an error no further job begins; it is returned when those that run have ended.
    pub fn run<J: Send, R: Send>(
        self,
        jobs: Vec<J>,
        work: impl Fn(J) -> Result<R> + Sync,
        mut done: impl FnMut(usize, R) -> Result<()>,
    ) -> Result<()> {
        if self.jobs == 1 {
            // On this thread, so that all operations share one set of libtorch's threads. With more threads
            // than cores, OpenMP lets them sleep after every operation.
            tch::set_num_threads(self.threads as i32);
            return jobs.into_iter().enumerate().try_for_each(|(i, job)| done(i, work(job)?));
        }
        let queue = Mutex::new(Some(jobs.into_iter().enumerate()));
        let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
        let (sender, results) = mpsc::channel();
        let run = |sender: mpsc::Sender<(usize, Result<R>)>| {
            tch::set_num_threads(self.threads as i32);
            loop {
                let next = lock().as_mut().and_then(Iterator::next);
                let Some((index, job)) = next else { return };
                let result = work(job);
                if result.is_err() {
                    *lock() = None;
                }
                if sender.send((index, result)).is_err() {
                    return;
                }
            }
        };
        thread::scope(|scope| {
            let senders = vec![sender; self.jobs];
            let run = &run;
            let workers: Vec<_> =
                senders.into_iter().map(|sender| scope.spawn(move || run(sender))).collect();
            let outcome = results.iter().try_for_each(|(index, result)| done(index, result?));
            if outcome.is_err() {
                *lock() = None;
            }
            for worker in workers {
                worker.join().map_err(|_| anyhow!("a training panicked; its message is above"))?;
            }
            outcome
        })
    }

    /// Runs `work` as [`run`](Self::run) and returns the results in the order of the jobs.
    pub fn map<J: Send, R: Send>(
        self,
        jobs: Vec<J>,
        work: impl Fn(J) -> Result<R> + Sync,
    ) -> Result<Vec<R>> {
        let mut results: Vec<Option<R>> = jobs.iter().map(|_| None).collect();
        self.run(jobs, work, |index, result| {
            results[index] = Some(result);
            Ok(())
        })?;
        Ok(results.into_iter().flatten().collect())
    }
}
