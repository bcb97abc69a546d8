//! Sends recorded runs to an MLflow server. `recorder.rs` is the recorder, which a training uses in the same
//! way.
//!
//! ```console
//! mlflow server --port 5000
//! cargo run --example mlflow -- --url http://localhost:5000 runs/mine
//! ```

mod recorder;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use g2d::record::{Recorder as _, Run};

use recorder::MlFlow;

/// Sends recorded runs to an MLflow server.
#[derive(Parser)]
struct Arguments {
    /// The address of the server.
    #[arg(long, default_value = "http://localhost:5000")]
    url: String,
    /// Run folders.
    #[arg(required_unless_present = "smoke")]
    runs: Vec<PathBuf>,
    /// Sends nothing, since there is no server in a smoke run; the tests have one.
    #[arg(long)]
    smoke: bool,
}

fn main() -> Result<()> {
    let Arguments { url, runs, smoke } = Arguments::parse();
    if smoke {
        println!("skipped: no MLflow server");
        return Ok(());
    }
    for folder in runs {
        let run = Run::read(&folder)?;
        let mut server = MlFlow::new(&url);
        server.begin(&run.info)?;
        run.steps.iter().try_for_each(|row| server.step_row(row))?;
        run.epochs.iter().try_for_each(|row| server.epoch(&row.report, &row.metrics))?;
        run.outcome.iter().try_for_each(|outcome| server.finish(outcome))?;
        println!("sent {} epochs of {:?} to {url}", run.epochs.len(), run.info.name);
    }
    Ok(())
}
