//! Makes the report of a recorded run, or of several side by side.
//!
//! `cargo run --example report -- RUN_DIR…` reads run folders, as `g2d::record::RunFolder` writes
//! them, and writes `report.html` and `plots/` (SVG and PNG). With `--smoke` it first records a tiny
//! run of its own.

mod tiny;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use g2d::{
    record::Run,
    report::{Report, Theme},
};

/// Makes the report of recorded runs.
#[derive(Parser)]
struct Arguments {
    /// Run folders: one for a report, several for a comparison
    runs: Vec<PathBuf>,
    /// Where to write [default: the first run's folder, `target/g2d-comparison` for several]
    #[arg(long)]
    out: Option<PathBuf>,
    /// Record a tiny run first, and report on it
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    let Arguments { mut runs, out, smoke } = Arguments::parse();
    if smoke && runs.is_empty() {
        runs = tiny::record(&PathBuf::from("target/g2d-report-smoke"))?;
    }
    ensure!(!runs.is_empty(), "expected run folders, found none; pass RUN_DIR… (or --smoke)");
    let out = out.unwrap_or_else(|| match runs.as_slice() {
        [run] => run.clone(),
        _ => PathBuf::from("target/g2d-comparison"),
    });
    let runs = runs.iter().map(Run::read).collect::<g2d::Result<Vec<_>>>()?;
    for (run, note) in runs.iter().flat_map(|run| run.notes.iter().map(move |note| (run, note))) {
        eprintln!("{}: {note}", run.folder.display());
    }
    let report = Report::new(runs)?;
    let page = out.join("report.html");
    report.write(&page)?;
    let plots = report.plots();
    plots.iter().try_for_each(|plot| plot.write(out.join("plots"), Theme::Light))?;
    println!("wrote {} and {} plots beside it", page.display(), plots.len());
    Ok(())
}
