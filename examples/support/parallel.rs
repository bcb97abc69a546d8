//! Several trainings at a time, each on one thread: small networks gain nothing from more threads.

use std::{
    panic::resume_unwind,
    sync::{Mutex, PoisonError},
};

use anyhow::Result;

/// Runs `work` on every job, at most `at_a_time` jobs concurrently, and returns the results in the
/// order of the jobs.
pub fn in_parallel<J: Send, R: Send>(
    at_a_time: usize,
    jobs: Vec<J>,
    work: impl Fn(J) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let queue = Mutex::new(jobs.into_iter().enumerate());
    let run = || {
        tch::set_num_threads(1);
        let mut done = Vec::new();
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((index, job)) = next else { return Ok::<_, anyhow::Error>(done) };
            done.push((index, work(job)?));
        }
    };
    let mut done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(run)).collect();
        let mut done = Vec::new();
        for worker in workers {
            done.extend(worker.join().unwrap_or_else(|panic| resume_unwind(panic))?);
        }
        Ok::<_, anyhow::Error>(done)
    })?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}
