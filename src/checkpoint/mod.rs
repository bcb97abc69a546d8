//! Checkpoints: snapshots from which a run resumes after a crash, with bit-equal results.
//!
//! - [`ResumableRun`]: a run that holds its parts and saves, resumes and ends itself.
//! - [`SnapshotFolder`]: a folder of snapshots, the newest ones and the best; [`RunParts`]: the parts of
//!   one call, for loops whose parts are held elsewhere.
//! - [`Snapshot`]: one snapshot on disk.
//! - [`EarlyStopping`]: ends a loop without snapshots, and restores the best weights.
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

mod early_stopping;
mod folder;
mod generators;
mod manifest;
mod optimizers;
mod parts;
mod run;
mod snapshot;
mod unsaved;

pub use early_stopping::EarlyStopping;
pub use folder::{Best, SnapshotFolder};
pub use optimizers::Optimizers;
pub use parts::RunParts;
pub use run::{Builder, ResumableRun};
pub use snapshot::Snapshot;

pub use crate::state::State;
