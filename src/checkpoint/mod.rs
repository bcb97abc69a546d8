//! Runs that go on after a crash: snapshots on disk, whole or not there.
//!
//! - [`SnapshotFolder`]: a folder of snapshots, the last few and the best.
//! - [`Snapshot`]: one of them: what it says of itself, and loading it.
//! - [`RunParts`]: what a snapshot holds of a run: trainer, weights, optimizers.
//!
//! `folder.rs` keeps and removes, `write.rs` and `load.rs` are one snapshot out and in, `manifest.rs`
//! is what it says of itself and why it can be believed.
//!
//! # What is in a snapshot
//! A folder `snapshot-000017` with `manifest.json` (progress, the trainer's, scheduler's, probes' and
//! modulation's state, loss scale, the caller's own state, score, version, and size and SHA-256 of
//! every file), a safetensors file for each `VarStore` and optimizer, and the state of libtorch's
//! random generators. It is written beside its place, flushed and renamed: a crash, a full disk or a
//! kill leaves the snapshots that were there.
//!
//! # What is not
//! Data, teachers and configuration: the program makes them again, from the same seeds and files. Data
//! order: keep seed and position in the caller's state; [`Progress`](crate::schedule::Progress) says how many
//! batches of the epoch are done. tch's own optimizers: their momentum starts anew.
//!
//! # Example
//! ```no_run
//! # use g2d::{checkpoint::{RunParts, SnapshotFolder}, optim::Optimizer, prelude::*};
//! # fn train(
//! #     model: &dyn Student, mut vs: tch::nn::VarStore, mut trainer: G2dTrainer,
//! #     mut optimizer: Optimizer, loader: impl Fn(u64) -> Vec<Batch>, validate: impl Fn() -> f64,
//! # ) -> g2d::Result<()> {
//! let mut checkpoints = SnapshotFolder::open("runs/mine/checkpoints")?.keep_last(2);
//! let mut parts = RunParts::new(&mut trainer).weights("student", &mut vs).optimizer("sgd", &mut optimizer);
//! let mut validated: Vec<f64> = checkpoints.resume(&mut parts)?.unwrap_or_default();
//! for epoch in trainer.progress().epoch..300 {
//!     let done = trainer.progress().step as usize; // a resumed epoch goes on behind its last batch
//!     for batch in loader(epoch).into_iter().skip(done) {
//!         optimizer.zero_grad()?;
//!         trainer.step(model, &batch)?;
//!         optimizer.step()?;
//!     }
//!     trainer.end_epoch()?;
//!     validated.push(validate());
//!     let mut parts = RunParts::new(&mut trainer).weights("student", &mut vs).optimizer("sgd", &mut optimizer);
//!     checkpoints.save(&mut parts, &validated, validated.last().copied())?;
//! }
//! # Ok(())
//! # }
//! ```

mod folder;
mod load;
mod manifest;
mod parts;
mod write;

pub use folder::{Best, SnapshotFolder};
pub use load::Snapshot;
pub use parts::RunParts;

pub use crate::state::State;
