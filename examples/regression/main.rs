//! The paper's second setup: a value from pictures and a table. Teachers, joint training, joint
//! training with SMP, L_G2D, and both together, side by side with the mean of the training targets.
//!
//! Without `--data` it trains on a generated set of the soil-moisture data's form. With `--data DIR`
//! it reads houses (`--modalities two|five`), or MIS-ME's layout (`--layout mis-me`, or a JSON file
//! of one's own, see docs/data.md). Hyper-parameters are the same for all methods; each training keeps
//! the weights of its best epoch on validation data, and only those see the test data.

mod data;
mod generated;
#[path = "../support/mod.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, ensure};
use clap::{CommandFactory, FromArgMatches, Parser};
use g2d::paper::{
    data::{ImageTableSplits, TargetScale},
    networks::{EncoderConfig, ImageBackbone, ImageConfig, MixedConfig, MixedFusion, MlpConfig},
};

use crate::{
    data::{HowMany, Layout},
    support::{
        lab::{
            self,
            arguments::{RunArguments, Settings},
            problem::{Mixed, Problem, Splits},
            task::Task,
        },
        methods::Method,
    },
};

/// Predict a value from pictures and a table: teachers, joint training and G²D.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// Folder of the tables and pictures; a generated set without it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// houses, mis-me, or a JSON file that describes another table
    #[arg(long, default_value = "houses", requires = "data")]
    layout: Layout,
    /// The photographs of a house as one modality (beside the table), or each as one
    #[arg(long, value_enum, default_value_t)]
    modalities: HowMany,
    /// What is learnt: the target, or its logarithm; log for houses, otherwise standard
    #[arg(long, value_parser = target_scale)]
    target_scale: Option<TargetScale>,
    /// The network that looks at pictures
    #[arg(long, value_parser = backbone, default_value = "compact")]
    backbone: ImageBackbone,
    /// ImageNet weights of it, a safetensors file with torchvision's names
    #[arg(long, value_name = "FILE")]
    backbone_weights: Option<PathBuf>,
    /// late or concat
    #[arg(long, value_parser = fusion, default_value = "late")]
    fusion: MixedFusion,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> Result<()> {
    let command = Arguments::command()
        .mut_arg("out", |arg| arg.default_value("target/regression"))
        .mut_arg("epochs", |arg| arg.default_value("40"))
        .mut_arg("stages", |arg| arg.default_value("20"));
    let arguments = Arguments::from_arg_matches(&command.get_matches())?;
    let setting = arguments.settings.setting(arguments.run.smoke)?;
    let pretrained = arguments.backbone_weights.is_some();
    ensure!(
        !pretrained || arguments.backbone != ImageBackbone::Compact,
        "--backbone-weights needs --backbone mobile_net_v2 or res_net18"
    );
    lab::compare(&arguments.run, &setting, &Method::ANY, |seed, folder| {
        arguments.problem(seed, folder)
    })
}

impl Arguments {
    /// The data on the training split's scale, which is saved beside the results.
    fn problem(&self, seed: u64, folder: &Path) -> Result<Problem> {
        let (name, splits) = match &self.data {
            Some(data) => (support::name_of(data), self.layout.read(data, self.modalities, seed)?),
            None => ("a generated soil-moisture set".to_owned(), generated::splits(0)?),
        };
        let prices = self.data.is_some() && matches!(self.layout, Layout::Houses);
        let usual = if prices { TargetScale::Log } else { TargetScale::Standard };
        let scale = self.target_scale.unwrap_or(usual);
        let config = self.network(&splits);
        let ([train, val, test], standardisation) = splits.standardised(scale)?;
        standardisation.save(folder.join("standardisation.json"))?;
        let targets = [train.targets(), val.targets(), test.targets()];
        Ok(Problem {
            name: format!("{name} ({} modalities, {scale:?} target)", config.encoders.len()),
            modalities: train.modalities().to_vec(),
            task: Task::value(standardisation.target, &targets),
            splits: Splits::in_memory([train, val, test]),
            networks: Arc::new(Mixed { config, backbone_weights: self.backbone_weights.clone() }),
        })
    }

    /// An encoder for each picture and the weather MLP for the table.
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

fn target_scale(name: &str) -> Result<TargetScale, String> {
    named(name)
}

fn backbone(name: &str) -> Result<ImageBackbone, String> {
    named(name)
}

fn fusion(name: &str) -> Result<MixedFusion, String> {
    named(name)
}

/// A choice by the name that it has in files.
fn named<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}
