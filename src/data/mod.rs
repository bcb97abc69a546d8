//! Data sets as batches: [`InMemory`] holds samples as tensors and cuts them into batches.

mod in_memory;

pub use in_memory::{InMemory, Order};
