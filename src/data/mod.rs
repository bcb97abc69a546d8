//! Data sets that are divided into batches: [`InMemory`] holds its samples as tensors.

mod in_memory;

pub use in_memory::{InMemory, Order};
