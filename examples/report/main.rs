//! Writes the report of a recorded run, or of several for comparison.
//!
//! `cargo run --example report -- RUN_DIR…` reads run folders, as `g2d::record::RunFolder` writes
//! them, and writes `report.html` and `plots/` (SVG and PNG). With `--smoke` it first records two
//! small runs.

mod smoke;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;
use g2d::{
    record::Run,
    report::{Report, Theme},
};

/// Write the report of recorded runs.
#[derive(Parser)]
struct Arguments {
    /// Run folders: one for a report, several for a comparison
    runs: Vec<PathBuf>,
    /// Output folder [default: the run folder, or target/g2d-comparison for several]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Record two small runs if no run folder is given
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    let Arguments { mut runs, out, smoke } = Arguments::parse();
    if smoke && runs.is_empty() {
        runs = smoke::record(Path::new("target/g2d-report-smoke"))?;
    }
    ensure!(!runs.is_empty(), "expected run folders, found none; pass RUN_DIR… or --smoke");
    let out = out.unwrap_or_else(|| match runs.as_slice() {
        [run] => run.clone(),
        _ => PathBuf::from("target/g2d-comparison"),
    });
    let runs = runs.iter().map(Run::read).collect::<g2d::Result<Vec<_>>>()?;
    for run in &runs {
        run.notes.iter().for_each(|note| eprintln!("{}: {note}", run.folder.display()));
    }
    let report = Report::new(runs)?;
    let page = out.join("report.html");
    report.write(&page)?;
    let plots = report.plots();
    plots.iter().try_for_each(|plot| plot.write(out.join("plots"), Theme::Light))?;
    println!("wrote {} and {} plots", page.display(), plots.len());
    Ok(())
}
