//! Ranks as threads of one process.

use std::{panic, thread};

use super::{GroupConfig, ProcessGroup};
use crate::error::Result;
use crate::libtorch::Store;

/// Runs `run` on `ranks` threads of this process, each with its own rank of a group that meets in memory
/// and talks over the loopback interface, and returns their results in the order of ranks. For tests, and
/// for several devices of one process.
///
/// Tensors are not shared between the threads: each makes its own model. Random numbers of libtorch come from
/// one generator for all threads.
///
/// # Errors
/// [`Error::Torch`](crate::Error::Torch) if the store cannot be made. A rank that cannot join is in the
/// results.
///
/// # Panics
/// If `run` panics on a thread. The other ranks receive errors.
///
/// # Example
/// ```no_run
/// use g2d::distributed::{GroupConfig, Reduction, in_threads};
/// use tch::Tensor;
///
/// let sums = in_threads(2, &GroupConfig::default(), |group| {
///     let tensor = Tensor::from(group.rank() as f64 + 1.0);
///     group.all_reduce(&tensor, Reduction::Sum)?;
///     Ok(tensor.double_value(&[]))
/// })?;
/// for sum in sums {
///     assert_eq!(sum?, 3.0);
/// }
/// # Ok::<(), g2d::Error>(())
/// ```
pub fn in_threads<T: Send>(
    ranks: usize,
    config: &GroupConfig,
    run: impl Fn(ProcessGroup) -> Result<T> + Sync,
) -> Result<Vec<Result<T>>> {
    let store = Store::in_memory()?;
    let stores = (0..ranks).map(|_| store.share()).collect::<Result<Vec<_>>>()?;
    let run = &run;
    thread::scope(|scope| {
        let start = |(rank, store): (usize, Store)| {
            scope.spawn(move || run(ProcessGroup::in_process(store, rank, ranks, config)?))
        };
        let threads: Vec<_> = stores.into_iter().enumerate().map(start).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<T>>| {
            thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic))
        };
        Ok(threads.into_iter().map(join).collect())
    })
}
