//! The paper's second setup: a value from pictures and a table. Compares teachers, joint training,
//! joint training with SMP, L_G2D, G²D, and the mean of the training targets.
//!
//! Without `--data` it trains on a generated data set in the form of the soil-moisture data. With
//! `--data DIR` it reads houses (`--modalities two|five`), the layout of MIS-ME (`--layout mis-me`),
//! or a layout described in JSON (docs/data.md). Hyper-parameters are the same for all methods. Every
//! student keeps the weights of its best epoch on validation data, and is tested with these.

mod data;
mod generated;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use clap::Parser;
use g2d::paper::{
    data::{ImageTableSplits, TargetScale},
    networks::{EncoderConfig, ImageBackbone, ImageConfig, MixedConfig, MixedFusion, MlpConfig},
};

use crate::{
    data::{HouseModalityCount, Layout},
    support::{
        command_line,
        comparison::{
            MixedNetworks, PredictionTask, Problem, RunArguments, TrainingArguments, compare,
            data_name,
        },
    },
};

/// Predict a value from pictures and a table.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// Folder of the tables and pictures [default: a generated data set]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// houses, mis-me, or a JSON file that describes another table
    #[arg(long, default_value = "houses", requires = "data")]
    layout: Layout,
    /// Modalities of a house
    #[arg(long, value_enum, default_value_t)]
    modalities: HouseModalityCount,
    /// Scale of the target: standard, or log for its logarithm [default: log for houses, otherwise
    /// standard]
    #[arg(long, value_parser = command_line::choice::<TargetScale>)]
    target_scale: Option<TargetScale>,
    /// Network of the pictures: compact, mobile_net_v2 or res_net18
    #[arg(long, value_parser = command_line::choice::<ImageBackbone>, default_value = "compact")]
    backbone: ImageBackbone,
    /// ImageNet weights of the network, a safetensors file with torchvision's names
    #[arg(long, value_name = "FILE")]
    backbone_weights: Option<PathBuf>,
    /// late or concat
    #[arg(long, value_parser = command_line::choice::<MixedFusion>, default_value = "late")]
    fusion: MixedFusion,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    training: TrainingArguments,
}

fn main() -> Result<()> {
    let defaults = [("out", "target/regression"), ("epochs", "40"), ("stages", "20")];
    let arguments: Arguments = command_line::parse(&defaults);
    ensure!(
        arguments.backbone_weights.is_none() || arguments.backbone != ImageBackbone::Compact,
        "--backbone-weights needs --backbone mobile_net_v2 or res_net18"
    );
    let Arguments { run, training, .. } = &arguments;
    compare(run, &training.config(run.smoke)?, |seed, folder| arguments.problem(seed, folder))
}

impl Arguments {
    /// The data on the scale of the training split, which is saved in `folder`.
    fn problem(&self, seed: u64, folder: &Path) -> Result<Problem> {
        let (name, splits) = match &self.data {
            Some(data) => (data_name(data), self.layout.read(data, self.modalities, seed)?),
            None => ("a generated soil-moisture set".to_owned(), generated::splits(0)?),
        };
        let prices = self.data.is_some() && matches!(self.layout, Layout::Houses);
        let default = if prices { TargetScale::Log } else { TargetScale::Standard };
        let scale = self.target_scale.unwrap_or(default);
        let config = self.network(&splits);
        let name = format!("{name} ({} modalities, {scale:?} target)", config.encoders.len());
        let (splits, standardisation) = splits.standardised(scale)?;
        standardisation.save(folder.join("standardisation.json"))?;
        let targets = splits.each_ref().map(|split| split.targets());
        let task = PredictionTask::regression(standardisation.target, &targets);
        let backbone_weights = self.backbone_weights.clone();
        Ok(Problem::mixed(name, splits, MixedNetworks { config, backbone_weights }, task))
    }

    /// An image encoder for each picture, and the weather MLP for the table.
    fn network(&self, splits: &ImageTableSplits) -> MixedConfig {
        let image = match self.backbone {
            ImageBackbone::Compact => ImageConfig::default(),
            other => ImageConfig::imagenet(other),
        };
        let names = splits.train.modalities();
        let columns = splits.train.table().size()[1];
        let encoder = |m: usize| match m + 1 == names.len() {
            true => EncoderConfig::Table(MlpConfig::weather(columns)),
            false => EncoderConfig::Image(image.clone()),
        };
        let encoders = names.iter().enumerate().map(|(m, name)| (name.clone(), encoder(m)));
        MixedConfig { encoders: encoders.collect(), fusion: self.fusion, outputs: 1 }
    }
}
