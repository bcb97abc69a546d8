//! The HTML reports of a comparison.

use std::path::{Path, PathBuf};

use anyhow::Result;
use g2d::{
    record::Run,
    report::{Report, Theme},
};

use super::run_files::RunFiles;
use crate::support::methods::Method;

/// Writes a report into each run folder, and one that compares the runs into the output folder.
/// The latter begins with `introduction`. Returns the path of the most comprehensive report.
pub fn write(files: &RunFiles, methods: &[Method], introduction: &str) -> Result<PathBuf> {
    let runs = methods
        .iter()
        .map(|method| Run::read(files.student(method.key())))
        .collect::<g2d::Result<Vec<_>>>()?;
    for run in &runs {
        write_report(&run.folder, vec![run.clone()], "")?;
    }
    match runs.as_slice() {
        [run] => Ok(run.folder.join("report.html")),
        _ => write_report(files.folder(), runs, introduction),
    }
}

/// Writes `report.html` and `plots/` into `folder`.
fn write_report(folder: &Path, runs: Vec<Run>, introduction: &str) -> Result<PathBuf> {
    let report = Report::new(runs)?.with_introduction(introduction);
    let path = folder.join("report.html");
    report.write(&path)?;
    report.plots().iter().try_for_each(|plot| plot.write(folder.join("plots"), Theme::Light))?;
    Ok(path)
}
