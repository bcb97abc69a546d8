//! The reports of what was recorded.

use std::path::{Path, PathBuf};

use anyhow::Result;
use g2d::{
    record::Run,
    report::{Report, Theme},
};

use crate::support::methods::Method;

/// Writes a report a method beside its run, and one that compares them in `folder`; says where to look
/// first.
pub fn write(folder: &Path, methods: &[Method]) -> Result<PathBuf> {
    let runs = methods
        .iter()
        .map(|method| Run::read(folder.join(method.key())))
        .collect::<g2d::Result<Vec<_>>>()?;
    for run in &runs {
        page(&run.folder, vec![run.clone()])?;
    }
    match runs.as_slice() {
        [run] => Ok(run.folder.join("report.html")),
        _ => page(folder, runs),
    }
}

/// `report.html` and `plots/` in `folder`.
fn page(folder: &Path, runs: Vec<Run>) -> Result<PathBuf> {
    let report = Report::new(runs)?;
    let page = folder.join("report.html");
    report.write(&page)?;
    report.plots().iter().try_for_each(|plot| plot.write(folder.join("plots"), Theme::Light))?;
    Ok(page)
}
