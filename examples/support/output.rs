//! The files of aggregated results.

use std::path::Path;

use anyhow::{Context, Result};
use g2d::report::Theme;
use serde::Serialize;

use super::{
    aggregate::AggregateResults,
    claims::{self, Claim},
    figure, table,
};

/// The content of `results.json`.
#[derive(Debug, Serialize)]
struct ResultsFile<'a> {
    #[serde(flatten)]
    results: &'a AggregateResults,
    claims: &'a [Claim],
}

/// Writes `results.json`, `table.md`, `figure.svg` and `figure.png` into `folder`, and returns the
/// table.
pub fn write(results: &AggregateResults, folder: &Path) -> Result<String> {
    let claims = claims::evaluate(results);
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    };
    let file = ResultsFile { results, claims: &claims };
    write("results.json", &(serde_json::to_string_pretty(&file)? + "\n"))?;
    let table = table::markdown(results, &claims)?;
    write("table.md", &table)?;
    figure::methods(results).write(folder, Theme::Light)?;
    Ok(table)
}
