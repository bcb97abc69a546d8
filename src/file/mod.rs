//! What the crate's file formats share.
//!
//! - `atomic`: atomic writes.
//! - `digest`: SHA-256 of weights, files and samples.
//! - `tensors`: safetensors files.

pub(crate) mod atomic;
mod digest;
pub(crate) mod tensors;

pub use digest::Digest;
pub(crate) use digest::Hasher;
