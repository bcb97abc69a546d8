//! Groups of ranks, which train one model together on several devices or hosts (feature `distributed`).
//!
//! Every rank is a process with a replica of the model and its own part of each batch. Gloo reduces tensors
//! of the host, NCCL those of CUDA devices; both are part of libtorch.
//!
//! - [`Launch`]: the number of this rank and where the ranks meet, from the environment that `torchrun`,
//!   `mpirun` or `srun` sets, or given.
//! - [`ProcessGroup`]: the connected ranks and their collective operations.
//!   [`Builder::group`](crate::trainer::Builder::group) trains with one.
//! - [`SyncBatchNorm`]: batch norm over the batches of all ranks.
//! - [`in_threads`]: ranks as threads of one process, for tests.
//!
//! docs/distributed.md shows how to launch ranks on one and on several hosts, and lists what equals a training
//! on one device.
//!
//! # Security
//! Connections have no authentication and no encryption. Use trusted networks only.

mod address;
mod batch_norm;
mod group;
mod launch;
mod layers;
mod threads;

pub use batch_norm::SyncBatchNorm;
pub use group::{Backend, GroupConfig, ProcessGroup, Reduction};
pub use launch::Launch;
pub use threads::in_threads;
