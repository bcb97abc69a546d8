//! What every file format here needs.
//!
//! - `atomic`: a file that is there whole or not at all.
//! - `checksum`: SHA-256 of weights, files and samples.

pub(crate) mod atomic;
mod checksum;

pub use checksum::Digest;
pub(crate) use checksum::Hasher;
