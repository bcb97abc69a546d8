//! What the examples share: methods and the comparison of them (`lab/`), several trainings at a time,
//! statistics, output.
//!
//! An example takes it in with `#[path = "../support/mod.rs"] mod support;`.

pub mod claims;
pub mod figure;
pub mod lab;
pub mod methods;
pub mod metric;
pub mod parallel;
pub mod progress;
pub mod results;
pub mod statistics;
pub mod summary;

/// The folder's own name: results do not tell where it lay.
pub fn name_of(folder: &std::path::Path) -> String {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    whole.file_name().unwrap_or(whole.as_os_str()).to_string_lossy().into_owned()
}
