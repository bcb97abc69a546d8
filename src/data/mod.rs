//! Data sets, and their batches.
//!
//! - [`InMemory`]: samples that are tensors in memory.
//! - [`Dataset`]: the trait of data sets whose samples are read one by one, as [`Sample`]s, for example
//!   from files; [`Loader`]: their batches, read on worker threads ahead of training.
//! - [`BatchOrder`]: the order of the samples of an epoch, and their division into batches; [`Part`]: the rows of
//!   each that one rank of a group reads.
//! - [`collate`]: from samples to a batch, with padding.
//!
//! Any other source of [`Batch`](crate::Batch)es serves as well: the trainers take iterators.

mod collate;
mod column;
mod dataset;
mod in_memory;
mod loader;
mod order;
mod part;
mod random;
mod sample;

pub use collate::collate;
pub use dataset::Dataset;
pub use in_memory::InMemory;
pub use loader::{Loader, LoaderBatches, LoaderOptions};
pub use order::{BatchOrder, LastBatch};
pub use part::Part;
/// The crate of the generators that [`Dataset::sample`] receives.
pub use rand;
pub use sample::Sample;
