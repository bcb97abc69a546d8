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

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser};

use crate::{
    data::{Data, Dataset, Reading},
    settings::{Overrides, Settings},
    support::{
        lab::{self, arguments::RunArguments, problem::Problem},
        methods::Method,
    },
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
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    hyper: Overrides,
}

fn main() -> Result<()> {
    let command = Arguments::command()
        .mut_arg("out", |arg| arg.default_value("target/audio_visual"))
        .mut_arg("methods", |arg| arg.default_values(["joint", "joint_smp", "g2d_smp"]));
    let arguments = Arguments::from_arg_matches(&command.get_matches())?;
    let settings = arguments.settings()?;
    lab::compare(&arguments.run, &settings.setting()?, &Method::ALL, |seed, _folder| {
        arguments.problem(seed, &settings)
    })
}

impl Arguments {
    fn settings(&self) -> Result<Settings> {
        let file = self.config.as_deref().map(Overrides::from_toml).transpose()?;
        let given = self.hyper.clone().or(file.unwrap_or_default());
        let settings = if self.dataset.is_some() { given.authors() } else { given.compact() }?;
        Ok(if self.run.smoke { settings.smoke() } else { settings })
    }

    fn problem(&self, seed: u64, settings: &Settings) -> Result<Problem> {
        let data = match (&self.data, self.dataset) {
            (None, _) => Data::embedded()?,
            (Some(folder), None | Some(Dataset::AvMnist)) => Data::av_mnist(folder, seed)?,
            (Some(folder), Some(dataset)) => {
                Data::clips(dataset, folder, &self.reading, settings.batch_size, seed)?
            }
        };
        Ok(data.problem(settings.classifier()))
    }
}
