//! The paper's effect on audio-visual digits: two teachers, joint training, joint training with SMP,
//! and G²D with SMP, side by side.
//!
//! Without `--data` it trains on the embedded spoken digits; with `--data DIR` on a folder in
//! AV-MNIST's layout. Hyper-parameters are the same for all methods; each training keeps the weights
//! of its best epoch on validation data, and only those see the test data.

mod data;
#[path = "../support/mod.rs"]
mod support;
mod training;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use tch::Device;

use crate::{
    data::Splits,
    support::{methods::Method, results::Results},
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
    /// Seeds to run, counted up from --seed; more than one also writes results.json, table.md and
    /// figure.svg
    #[arg(long, default_value_t = 1, value_name = "N")]
    seeds: u64,
    /// Methods to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::DEMO)]
    methods: Vec<Method>,
    /// Compare all methods
    #[arg(long, conflicts_with = "methods")]
    all_methods: bool,
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
    if arguments.smoke {
        (arguments.hyper.epochs, arguments.hyper.schedule.stage) = (2, 1);
    }
    if arguments.all_methods {
        arguments.methods = Method::ALL.into();
    }
    arguments.hyper.check()?;
    let many = arguments.seeds > 1;
    let (mut summaries, mut described) = (Vec::new(), None);
    for seed in arguments.seed..arguments.seed + arguments.seeds {
        let mut splits = match &arguments.data {
            Some(folder) => Splits::from_folder(folder, seed)?,
            None => Splits::embedded()?,
        };
        if arguments.smoke {
            splits = splits.first(64)?;
        }
        let folder = arguments.out.join(if many { format!("seed{seed}") } else { String::new() });
        let lab = lab(&arguments, seed, folder.clone());
        println!("{splits}\nseed {seed}, {lab}");
        let summary = lab.run(&splits)?;
        let path = folder.join("summary.json");
        let json = serde_json::to_string_pretty(&summary)?;
        std::fs::write(&path, json + "\n").with_context(|| format!("write {}", path.display()))?;
        println!("{summary}\nWrote {} and a CSV file a training beside it.", path.display());
        summaries.push(summary);
        described = Some((splits.to_string(), lab.to_string()));
    }
    if let (Some((data, setting)), true) = (described, many) {
        let results = Results::new(&data, &setting, &summaries)?;
        results.write(&arguments.out)?;
        println!(
            "{}\nWrote results.json, table.md and figure.svg in {}.",
            results.table()?,
            arguments.out.display()
        );
    }
    Ok(())
}

fn lab(arguments: &Arguments, seed: u64, out: PathBuf) -> Lab {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Lab {
        seed,
        device: arguments.device,
        jobs: arguments.jobs.unwrap_or(cores).max(1),
        methods: arguments.methods.clone(),
        hyper: arguments.hyper.clone(),
        out,
    }
}

fn parse_device(text: &str) -> Result<Device, String> {
    match text.split_once(':').map_or((text, "0"), |(kind, index)| (kind, index)) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", index) => index.parse().map(Device::Cuda).map_err(|e| format!("{text}: {e}")),
        _ => Err(format!("{text:?}: expected cpu, cuda or cuda:N")),
    }
}
