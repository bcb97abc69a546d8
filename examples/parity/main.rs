//! Numeric parity with the authors' code: golden cases, rebuilt and compared number by number.
//!
//! `parity CASE.json…` makes each case's weights and inputs by the golden README's formula, trains
//! through `G2dTrainer` in float64 as the authors' code does, and compares every number of the case.
//! Exits non-zero if one differs by more than 1e-9, relatively. `--smoke` takes the cases of
//! ../shared/golden, where they are.

mod harness;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use harness::{Case, TOLERANCE, compare, golden, run};

/// Compare g2d with golden numbers of the authors' code.
#[derive(Debug, Parser)]
struct Arguments {
    /// Case files
    #[arg(value_name = "CASE.json")]
    cases: Vec<PathBuf>,
    /// Run the cases of ../shared/golden, if they are there
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<ExitCode> {
    let Arguments { mut cases, smoke } = Arguments::parse();
    if smoke {
        cases.extend(golden()?);
        if cases.is_empty() {
            println!("skipped: no cases in ../shared/golden");
            return Ok(ExitCode::SUCCESS);
        }
    }
    ensure!(!cases.is_empty(), "no case: expected paths of case files, or --smoke");
    let mut failed = 0;
    for path in &cases {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let case = Case::parse(&text).with_context(|| path.display().to_string())?;
        let observed = run(&case).with_context(|| path.display().to_string())?;
        let comparison = compare(&case, &observed)?;
        println!("{}\n{comparison}", path.display());
        if !comparison.agrees() {
            failed += 1;
        }
    }
    let (all, right) = (cases.len(), cases.len() - failed);
    println!("{right} of {all} cases agree to {TOLERANCE:e}");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
