//! Files with random changes: settings, reports, run folders and cache files. Never a panic; what is
//! accepted is written and read again as the same, and works or is refused where it is used.
//!
//! - `mutation.rs`: how valid text is changed.
//! - `settings.rs`: what a user's TOML or JSON may hold.
//! - `run_folder.rs`: a run folder and its report.
//! - `cache_file.rs`: teachers' outputs on disk.
//!
//! `G2D_FUZZ_CASES=1000000 cargo test --test suite fuzzing` runs a million cases of each property.

mod cache_file;
mod mutation;
#[cfg(feature = "report")]
mod run_folder;
mod settings;
