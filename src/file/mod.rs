//! What the crate's file formats share.
//!
//! - `atomic`: atomic writes.
//! - `digest`: SHA-256 of weights, files and samples.
//! - `tensors`: safetensors files; `dtype`: their dtypes; `fault`: what is wrong with an invalid one.
//! - `format`: recognises files of other formats.

pub(crate) mod atomic;
mod digest;
pub(crate) mod dtype;
mod fault;
pub(crate) mod format;
pub(crate) mod tensors;

pub use digest::Digest;
pub(crate) use digest::Hasher;
