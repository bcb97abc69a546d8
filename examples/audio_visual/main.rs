//! The paper's effect on audio-visual digits: two teachers, joint training, joint training with SMP,
//! and G²D with SMP, side by side.
//!
//! Without `--data` it trains on the embedded spoken digits; with `--data DIR` on a folder in
//! AV-MNIST's layout. Hyper-parameters are the same for all methods; each training keeps the weights
//! of its best epoch on validation data, and only those see the test data.

mod best;
mod data;
mod methods;
mod parallel;
mod progress;
mod summary;
mod training;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use tch::Device;

use crate::{
    data::Splits,
    training::{Hyperparameters, Lab},
};

/// Train teachers, baselines and G²D on audio-visual digits.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder in AV-MNIST's layout; the embedded spoken digits without it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Seed of initialisation and shuffling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where CSV files and summary.json go
    #[arg(long, value_name = "DIR", default_value = "target/audio_visual")]
    out: PathBuf,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu", value_parser = parse_device)]
    device: Device,
    /// Trainings at a time; the number of cores without it
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// One epoch on a few samples: does it run at all?
    #[arg(long)]
    smoke: bool,
    #[command(flatten)]
    hyper: Hyperparameters,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    let mut splits = match &arguments.data {
        Some(folder) => Splits::from_folder(folder, arguments.seed)?,
        None => Splits::embedded()?,
    };
    if arguments.smoke {
        splits = splits.first(64)?;
        (arguments.hyper.epochs, arguments.hyper.stage) = (2, 1);
    }
    arguments.hyper.check()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let lab = Lab {
        seed: arguments.seed,
        device: arguments.device,
        jobs: arguments.jobs.unwrap_or(cores).max(1),
        hyper: arguments.hyper,
        out: arguments.out.clone(),
    };
    println!("{splits}\n{lab}");
    let summary = lab.run(&splits)?;
    let path = arguments.out.join("summary.json");
    let json = serde_json::to_string_pretty(&summary)?;
    std::fs::write(&path, json + "\n").with_context(|| format!("write {}", path.display()))?;
    println!("{summary}\nWrote {} and a CSV file a training beside it.", path.display());
    Ok(())
}

fn parse_device(text: &str) -> Result<Device, String> {
    match text.split_once(':').map_or((text, "0"), |(kind, index)| (kind, index)) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", index) => index.parse().map(Device::Cuda).map_err(|e| format!("{text}: {e}")),
        _ => Err(format!("{text:?}: expected cpu, cuda or cuda:N")),
    }
}
