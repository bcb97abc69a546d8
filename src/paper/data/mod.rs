//! Data sets, from their own files to [`Batch`](crate::Batch)es.
//!
//! - [`InMemory`]: samples held as tensors, cut into batches.
//! - [`AvMnist`]: AV-MNIST's layout of `.npy` files, or one `.npz`.

mod av_mnist;
mod in_memory;
mod npy;

pub use av_mnist::AvMnist;
pub use in_memory::{InMemory, Order};
