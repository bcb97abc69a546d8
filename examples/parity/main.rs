//! Numeric parity with the authors' code, on golden cases.
//!
//! `parity CASE.json…` creates the weights and inputs of each case by the formula in the README of the
//! golden cases, trains with `G2dTrainer` in float64 as the authors' code does, and compares every
//! number of the case. The exit code is non-zero if a relative difference exceeds 1e-9. `--smoke`
//! runs the cases in ../shared/golden, if the folder exists.

mod harness;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use harness::{GoldenCase, TOLERANCE, compare, golden_cases, run};

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
        if cases.is_empty() {
            println!("skipped: no cases in ../shared/golden");
            return Ok(ExitCode::SUCCESS);
        }
    }
    ensure!(!cases.is_empty(), "expected case files, found none; pass CASE.json… or --smoke");
    let mut failed = 0;
    for path in &cases {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let case = GoldenCase::parse(&text).with_context(|| path.display().to_string())?;
        let computed = run(&case).with_context(|| path.display().to_string())?;
        let differences = compare(&case, &computed)?;
        println!("{}\n{differences}", path.display());
        if !differences.are_within_tolerance() {
            failed += 1;
        }
    }
    let (all, equal) = (cases.len(), cases.len() - failed);
    println!("{equal} of {all} cases agree within {TOLERANCE:e}");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
