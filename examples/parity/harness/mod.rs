//! Runs a golden case and compares it.
//!
//! - `case.rs` is the file; `formula.rs` makes its weights and inputs.
//! - `models.rs` builds networks and teachers; `compatibility.rs` holds what the authors' code
//!   reports and the trainer does not.
//! - `run.rs` trains; `comparison.rs` judges.

mod case;
mod comparison;
mod compatibility;
mod formula;
mod models;
mod run;

use std::path::{Path, PathBuf};

use anyhow::Result;

pub use case::Case;
pub use comparison::{TOLERANCE, compare};
pub use run::run;

/// The case files in ../shared/golden beside the repository, sorted; none where it is absent.
pub fn golden() -> Result<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/golden");
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut cases = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        if is_json && path.file_stem().is_some_and(|stem| stem != "preprocess") {
            cases.push(path);
        }
    }
    cases.sort();
    Ok(cases)
}
