//! The paper's effect on audio-visual digits: two teachers, joint training, joint training with SMP,
//! and G²D with SMP, side by side.
//!
//! Without `--data` it trains on the embedded spoken digits; with `--data DIR` on a folder in
//! AV-MNIST's layout, or another with `--dataset`. Hyper-parameters are the same for all methods; each training keeps the weights
//! of its best epoch on validation data, and only those see the test data.

mod data;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod teaching;
mod training;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use tch::Device;

use crate::{
    data::{Dataset, Reading, Splits},
    settings::{Overrides, Settings},
    support::{methods::Method, results::Results},
    training::Lab,
};

/// Train teachers, baselines and G²D on audio-visual data.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// The data set's folder; the embedded spoken digits without it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The folder's layout, with the authors' hyper-parameters; without it the folder is read in
    /// AV-MNIST's layout and the networks are compact
    #[arg(long, value_enum, requires = "data")]
    dataset: Option<Dataset>,
    /// Hyper-parameters in a TOML file; flags go before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
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
    /// Two epochs on a few samples: does it run at all?
    #[arg(long)]
    smoke: bool,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    hyper: Overrides,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let settings = arguments.settings()?;
    let many = arguments.seeds > 1;
    let (mut summaries, mut described) = (Vec::new(), None);
    for seed in settings.seed..settings.seed + arguments.seeds {
        let mut settings = settings.clone();
        settings.seed = seed;
        let splits = arguments.splits(&settings)?;
        let folder = match many {
            true => arguments.out.join(format!("seed{seed}")),
            false => arguments.out.clone(),
        };
        let lab = arguments.lab(settings, folder.clone());
        println!("{splits}\n{lab}, seed {seed}");
        let summary = lab.run(&splits)?;
        let path = folder.join("summary.json");
        write(&path, serde_json::to_string_pretty(&summary)? + "\n")?;
        write(&folder.join("settings.json"), serde_json::to_string_pretty(&lab.settings)? + "\n")?;
        println!("{summary}\nWrote {} and a CSV file a training beside it.", path.display());
        summaries.push(summary);
        described = Some((splits.to_string(), lab.to_string()));
    }
    if let (Some((data, setting)), true) = (described, many) {
        let results = Results::new(&data, &setting, &summaries)?;
        results.write(&arguments.out)?;
        let out = arguments.out.display();
        println!("{}\nWrote results.json, table.md and figure.svg in {out}.", results.table()?);
    }
    Ok(())
}

impl Arguments {
    fn settings(&self) -> Result<Settings> {
        let file = self.config.as_deref().map(Overrides::from_toml).transpose()?;
        let given = self.hyper.clone().or(file.unwrap_or_default());
        let settings = if self.dataset.is_some() { given.authors() } else { given.compact() }?;
        Ok(if self.smoke { settings.smoke() } else { settings })
    }

    fn splits(&self, settings: &Settings) -> Result<Splits> {
        let Settings { seed, batch_size, .. } = *settings;
        let splits = match (&self.data, self.dataset) {
            (None, _) => Splits::embedded()?,
            (Some(folder), None | Some(Dataset::AvMnist)) => Splits::av_mnist(folder, seed)?,
            (Some(folder), Some(dataset)) => {
                Splits::clips(dataset, folder, &self.reading, batch_size, seed)?
            }
        };
        if self.smoke { splits.first(64) } else { Ok(splits) }
    }

    fn lab(&self, settings: Settings, out: PathBuf) -> Lab {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let methods = if self.all_methods { Method::ALL.into() } else { self.methods.clone() };
        let jobs = self.jobs.unwrap_or(cores).max(1);
        Lab { settings, device: self.device, jobs, methods, out }
    }
}

fn write(path: &Path, text: String) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn parse_device(text: &str) -> Result<Device, String> {
    match text.split_once(':').map_or((text, "0"), |(kind, index)| (kind, index)) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", index) => index.parse().map(Device::Cuda).map_err(|e| format!("{text}: {e}")),
        _ => Err(format!("{text:?}: expected cpu, cuda or cuda:N")),
    }
}
