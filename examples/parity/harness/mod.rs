//! Runs golden cases and compares their numbers.
//!
//! - `case.rs`: the file of a case; `formula.rs`: weights and inputs.
//! - `models.rs`: networks and teachers; `compatibility.rs`: numbers that only the authors' code
//!   reports.
//! - `run.rs`: training; `differences.rs`: the comparison.
//! - `baselines/`: the cases of other methods.

pub mod baselines;
mod case;
mod compatibility;
mod differences;
mod formula;
mod models;
mod run;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use case::GoldenCase;
pub use differences::{TOLERANCE, compare};
pub use run::run;

/// The case files of the authors' code in ../shared/golden beside the repository, sorted; empty if the
/// folder is absent.
pub fn golden_cases() -> Result<Vec<PathBuf>> {
    cases("../shared/golden")
}

/// The case files of the baselines, as [`golden_cases`].
pub fn baseline_cases() -> Result<Vec<PathBuf>> {
    cases("../shared/golden/baselines")
}

fn cases(folder: &str) -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        // macOS adds `._name.json` to other file systems.
        let is_case = |stem: &std::ffi::OsStr| {
            stem != "preprocess" && !stem.to_string_lossy().starts_with('.')
        };
        if is_json && path.file_stem().is_some_and(is_case) {
            cases.push(path);
        }
    }
    cases.sort();
    Ok(cases)
}
