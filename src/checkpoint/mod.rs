//! Checkpoints: snapshots from which a run resumes after a crash, with bit-equal results.
//!
//! - [`SnapshotFolder`]: a folder of snapshots, the newest ones and the best.
//! - [`Snapshot`]: one snapshot on disk.
//! - [`RunParts`]: the parts of a run that a snapshot holds: trainer, weights, optimizers.
//!
//! # What a snapshot holds
//! A snapshot is a folder, such as `snapshot-000017`, with these files:
//! - `manifest.json`: the position in the run; the states of trainer, scheduler, probes and
//!   modulation; the loss scale; the state of the caller's loop; the score; and size and SHA-256 of
//!   every file;
//! - a safetensors file for each `VarStore` and each optimizer;
//! - the states of libtorch's random number generators.
//!
//! It is written atomically: a crash, a full disk or a kill leaves the previous snapshots as they
//! were.
//!
//! # What a snapshot does not hold
//! - Data, teachers and configuration: the program makes them again from the same seeds and files.
//! - The order of the data: keep its seed in the state of the caller's loop.
//!   [`Progress`](crate::schedule::Progress) has the number of batches of the epoch that are done.
//! - The momentum of tch's own optimizers, which start with a new one.
//!
//! # Example
//! ```no_run
//! # use g2d::{checkpoint::{RunParts, SnapshotFolder}, optim::Optimizer, prelude::*};
//! # fn train(
//! #     model: &dyn Student, mut vs: tch::nn::VarStore, mut trainer: G2dTrainer,
//! #     mut optimizer: Optimizer, loader: impl Fn(u64) -> Vec<Batch>, validate: impl Fn() -> f64,
//! # ) -> g2d::Result<()> {
//! let mut checkpoints = SnapshotFolder::open("runs/mine/checkpoints")?.keep_last(2);
//! let mut parts =
//!     RunParts::new(&mut trainer).weights("student", &mut vs).optimizer("sgd", &mut optimizer);
//! let mut validated: Vec<f64> = checkpoints.resume(&mut parts)?.unwrap_or_default();
//! for epoch in trainer.progress().epoch..300 {
//!     let done = trainer.progress().step as usize; // a resumed epoch skips its finished batches
//!     for batch in loader(epoch).into_iter().skip(done) {
//!         optimizer.zero_grad()?;
//!         trainer.step(model, &batch)?;
//!         optimizer.step()?;
//!     }
//!     trainer.end_epoch()?;
//!     validated.push(validate());
//!     let mut parts =
//!         RunParts::new(&mut trainer).weights("student", &mut vs).optimizer("sgd", &mut optimizer);
//!     checkpoints.save(&mut parts, &validated, validated.last().copied())?;
//! }
//! # Ok(())
//! # }
//! ```

mod folder;
mod generators;
mod manifest;
mod parts;
mod snapshot;

pub use folder::{Best, SnapshotFolder};
pub use parts::RunParts;
pub use snapshot::Snapshot;

pub use crate::state::State;
