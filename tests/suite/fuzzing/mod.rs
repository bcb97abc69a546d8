//! Fuzzing of everything that reads files: valid files with random changes, and random input.
//! Reading never panics, and a value that is read survives writing and reading.
//!
//! - `mutation.rs`: the random changes of text.
//! - `settings.rs`: settings and reports in TOML and JSON.
//! - `run_folder.rs`: run folders and tables.
//! - `cache_file.rs`: cache files of teacher outputs.
//! - `manifest.rs`: manifests of snapshots.
//! - `weights_file.rs`: files of weights.
//!
//! `G2D_FUZZ_CASES=1000000 cargo test --test suite fuzzing` runs a million cases of each property.

mod cache_file;
#[cfg(all(feature = "paper", feature = "report"))]
mod manifest;
mod mutation;
#[cfg(feature = "report")]
mod run_folder;
mod settings;
mod weights_file;
