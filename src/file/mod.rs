//! What every file format here needs.
//!
//! - `atomic`: a file that is there whole or not at all.
//! - `checksum`: SHA-256 of weights, files and samples.
//! - `tensors`: tensors by name, with text in the header.

pub(crate) mod atomic;
mod checksum;
pub(crate) mod tensors;

pub use checksum::Digest;
pub(crate) use checksum::Hasher;
