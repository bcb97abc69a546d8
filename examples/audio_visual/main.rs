//! The paper's experiment on audio-visual data. Compares teachers and their ensembles, joint training, G²D
//! with SMP, balanced training and other methods.
//!
//! Without `--data` it trains on the embedded spoken digits; with `--data DIR` on a folder in the
//! layout of AV-MNIST, or in another layout with `--dataset`. Hyper-parameters are the same for all
//! methods. Every student keeps the weights of its best epoch on validation data, and is tested with
//! these.

mod data;
mod hyper_parameters;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::{
    data::{AudioVisualData, ClipArguments, DataLayout},
    hyper_parameters::{HyperParameterFlags, HyperParameters},
    support::{
        command_line,
        comparison::{Problem, RunArguments, compare},
    },
};

/// Train teachers, baselines and G²D on audio-visual data.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// Folder of the data set [default: the embedded spoken digits]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Layout of the folder, which also selects the authors' hyper-parameters [default: AV-MNIST,
    /// with compact networks]
    #[arg(long, value_enum, requires = "data")]
    dataset: Option<DataLayout>,
    /// TOML file of hyper-parameters; flags take precedence
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    clips: ClipArguments,
    #[command(flatten)]
    flags: HyperParameterFlags,
}

fn main() -> Result<()> {
    let defaults = [("out", "target/audio_visual"), ("methods", "joint,g2d_smp,balanced")];
    let arguments: Arguments = command_line::parse(&defaults);
    let parameters = arguments.hyper_parameters()?;
    compare(&arguments.run, &parameters.config()?, |seed, _folder| {
        arguments.problem(seed, &parameters)
    })
}

impl Arguments {
    fn hyper_parameters(&self) -> Result<HyperParameters> {
        let mut flags = self.flags.clone();
        if let Some(file) = &self.config {
            flags = flags.or(HyperParameterFlags::from_toml(file)?)?;
        }
        let parameters = match self.dataset {
            Some(_) => HyperParameters::authors(&flags),
            None => HyperParameters::compact(&flags),
        }?;
        Ok(if self.run.smoke { parameters.smoke() } else { parameters })
    }

    fn problem(&self, seed: u64, parameters: &HyperParameters) -> Result<Problem> {
        let data = match (&self.data, self.dataset) {
            (None, _) => AudioVisualData::embedded()?,
            (Some(folder), None | Some(DataLayout::AvMnist)) => {
                AudioVisualData::av_mnist(folder, seed)?
            }
            (Some(folder), Some(layout)) => {
                let batch_size = parameters.batch_size();
                AudioVisualData::clips(layout, folder, &self.clips, batch_size, seed)?
            }
        };
        data.into_problem(parameters.classifier())
    }
}
