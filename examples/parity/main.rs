//! Numeric parity with the authors' code, on golden cases.
//!
//! `parity CASE.json…` creates the weights and inputs of each case by the formula in the README of the
//! golden cases, trains in float64 as the authors' code does, with `G2dTrainer` or with a baseline of
//! `paper::baselines`, and compares every number of the case. The exit code is non-zero if a relative difference exceeds 1e-9. `--smoke`
//! runs the cases in ../shared/golden, if the folder exists.

mod harness;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use harness::{GoldenCase, TOLERANCE, baseline_cases, baselines, compare, golden_cases, run};

/// Compare g2d with numbers of the authors' code.
#[derive(Debug, Parser)]
struct Arguments {
    /// Case files
    #[arg(value_name = "CASE.json")]
    cases: Vec<PathBuf>,
    /// Run the cases in ../shared/golden, if the folder exists
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<ExitCode> {
    let Arguments { mut cases, smoke } = Arguments::parse();
    if smoke {
        cases.extend(golden_cases()?);
        cases.extend(baseline_cases()?);
        if cases.is_empty() {
            println!("skipped: no cases in ../shared/golden");
            return Ok(ExitCode::SUCCESS);
        }
    }
    ensure!(!cases.is_empty(), "expected case files, found none; pass CASE.json… or --smoke");
    let mut largest = Vec::new();
    for path in &cases {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let (table, difference) =
            differences(&text, path).with_context(|| path.display().to_string())?;
        println!("{}\n{table}", path.display());
        largest.push((path, difference));
    }
    println!("largest relative difference of each case");
    for (path, difference) in &largest {
        println!("{difference:8.1e}  {}", path.display());
    }
    let equal = largest.iter().filter(|(_, difference)| *difference <= TOLERANCE).count();
    let all = cases.len();
    println!("{equal} of {all} cases agree within {TOLERANCE:e}");
    Ok(if equal == all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Trains a case of the authors' code or of a baseline; returns the table of its differences and the largest.
fn differences(text: &str, path: &Path) -> Result<(String, f64)> {
    let value = serde_json::from_str(text)?;
    let differences = if baselines::is_baseline(&value) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        baselines::tree::compare(&value, &baselines::run(&value, &stem)?)?
    } else {
        let case = GoldenCase::parse(text)?;
        compare(&case, &run(&case)?)?
    };
    Ok((differences.to_string(), differences.largest()))
}
