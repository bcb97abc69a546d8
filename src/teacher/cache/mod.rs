//! Teacher outputs that are recorded once and looked up by sample id.
//!
//! - `outputs`: runs a teacher over a data set and checks its outputs.
//! - `cached`: [`Cached`], a teacher that looks outputs up: the row of an id by `index`, the rows of a part
//!   by `column`.
//! - `file`: [`OutputFile`], outputs in a safetensors file; `record` writes it, `open` reads it.
//! - `shards`: [`Shards`], several of these as one teacher.
//! - `identity`: [`Identity`], the teacher and data that a file belongs to.
//! - `header`: [`Header`], the checked header of a file; `json` is its text, `storage` the dtype of
//!   features.

mod cached;
mod column;
mod file;
mod header;
mod identity;
mod index;
mod json;
mod open;
mod outputs;
mod record;
mod shards;
mod storage;

pub use cached::Cached;
pub use file::OutputFile;
pub use header::Header;
pub use identity::Identity;
pub use shards::Shards;
pub use storage::Storage;

pub use crate::file::Digest;
