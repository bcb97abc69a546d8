//! Data sets and their batches.

mod collate;
mod in_memory;
mod loader;
mod order;
