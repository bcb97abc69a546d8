//! Trains on extracted features of two or more modalities: teachers, joint training, joint training
//! with SMP, L_G2D, and G²D.
//!
//! Without `--data` it trains on a generated data set (`--generated`): one whose weakest modality contains
//! what the others lack, or one whose label only all modalities together determine. With `--data DIR` it
//! trains on a folder of features (docs/data.md). SMP has two stages by default: the columns
//! `kappa_*` of `g2d_smp/epochs.csv` show that the weakest encoder is trained alone, then the next,
//! then all.

mod generated;
#[path = "../support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Parser;
use g2d::{
    Modality,
    data::InMemory,
    paper::{
        data::{FeatureShape, Features, TargetScale, TargetScaler},
        networks::{EncoderConfig, MixedConfig, MixedFusion, MlpConfig, SequenceConfig},
    },
};
use tch::Kind;

use crate::generated::GeneratedSet;
use crate::support::{
    command_line,
    comparison::{
        MixedNetworks, PredictionTask, Problem, RunArguments, TrainingArguments, compare,
        data_name, with_validation,
    },
};

/// Predict classes or values from extracted features of several modalities.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// Folder of features [default: a generated data set]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The generated data set
    #[arg(long, value_enum, default_value_t, conflicts_with = "data")]
    generated: GeneratedSet,
    /// Modalities, in this order [default: all in the folder]
    #[arg(long, value_delimiter = ',', requires = "data")]
    modalities: Option<Vec<String>>,
    /// Feature width of every encoder
    #[arg(long, default_value_t = 32)]
    width: i64,
    /// Treat sequences as vectors: all steps in one, zeros after the end
    #[arg(long)]
    flatten: bool,
    /// late, concat, mlp or attention; film or gated for two modalities
    #[arg(long, value_parser = command_line::choice::<MixedFusion>, default_value = "late")]
    fusion: MixedFusion,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    training: TrainingArguments,
}

fn main() -> Result<()> {
    let defaults = [("out", "target/features"), ("epochs", "80"), ("stages", "40,10")];
    let arguments: Arguments = command_line::parse(&defaults);
    let Arguments { run, training, .. } = &arguments;
    compare(run, &training.config(run.smoke)?, |seed, folder| arguments.problem(seed, folder))
}

impl Arguments {
    /// The data on the scale of the training split, which is saved in `folder`.
    fn problem(&self, seed: u64, folder: &Path) -> Result<Problem> {
        let (name, features) = match &self.data {
            Some(data) => (data_name(data), self.read(data)?),
            None => (self.generated.to_string(), self.generated.features(0)?),
        };
        let (features, scales) = features.standardised()?;
        let path = folder.join("standardisation.json");
        std::fs::write(&path, serde_json::to_string_pretty(&scales)? + "\n")
            .with_context(|| format!("write {}", path.display()))?;
        let Features { train, val, test, shapes } = features;
        let (train, val) = with_validation(train, val, seed)?;
        let (splits, shapes) = match self.flatten {
            true => flattened([train, val, test], &shapes)?,
            false => ([train, val, test], shapes),
        };
        let [train, val, test] = splits;
        let (splits, task) = match train.targets().kind() {
            Kind::Int64 => classification([train, val, test]),
            _ => regression([train, val, test])?,
        };
        let outputs = match task {
            PredictionTask::Classification { classes } => classes,
            PredictionTask::Regression { .. } => 1,
        };
        let config = self.network(splits[0].modalities(), &shapes, outputs);
        let networks = MixedNetworks { config, backbone_weights: None };
        Ok(Problem::mixed(name, splits, networks, task))
    }

    fn read(&self, folder: &Path) -> Result<Features> {
        let modalities = match &self.modalities {
            Some(names) => Modality::list(names),
            None => Features::modalities(folder)?,
        };
        Ok(Features::read(folder, &modalities)?)
    }

    fn network(&self, names: &[Modality], shapes: &[FeatureShape], outputs: i64) -> MixedConfig {
        let encoder = |shape: &FeatureShape| match *shape {
            FeatureShape::Vector(d) => {
                EncoderConfig::Table(MlpConfig::plain(d, &[2 * self.width, self.width]))
            }
            FeatureShape::Sequence(input) => {
                EncoderConfig::Sequence(SequenceConfig { input, hidden: self.width })
            }
        };
        let encoders = names.iter().cloned().zip(shapes.iter().map(encoder)).collect();
        MixedConfig { encoders, fusion: self.fusion, outputs }
    }
}

/// The splits with sequences as vectors, zeros after the end, and the shapes of all modalities.
fn flattened(
    splits: [InMemory; 3],
    shapes: &[FeatureShape],
) -> Result<([InMemory; 3], Vec<FeatureShape>)> {
    let mut widths = Vec::new();
    let mut flat = |set: InMemory| {
        let flat = |(m, shape): (usize, &FeatureShape)| match *shape {
            FeatureShape::Vector(_) => set.input(m).shallow_clone(),
            // The last column is the mask; values of the padding are 0.
            FeatureShape::Sequence(d) => set.input(m).narrow(2, 0, d).flatten(1, 2),
        };
        let inputs: Vec<_> = shapes.iter().enumerate().map(flat).collect();
        widths = inputs.iter().map(|input| FeatureShape::Vector(input.size()[1])).collect();
        InMemory::new(set.modalities().to_vec(), inputs, set.targets().shallow_clone())
    };
    let [train, val, test] = splits;
    Ok(([flat(train)?, flat(val)?, flat(test)?], widths))
}

/// Classification, with as many classes as the largest label requires.
fn classification(splits: [InMemory; 3]) -> ([InMemory; 3], PredictionTask) {
    let largest = splits.each_ref().map(|split| split.targets().max().int64_value(&[]));
    let classes = largest.into_iter().max().unwrap_or(0) + 1;
    (splits, PredictionTask::Classification { classes })
}

/// Regression, with the targets on the scale of the training split.
fn regression([train, val, test]: [InMemory; 3]) -> Result<([InMemory; 3], PredictionTask)> {
    let scaler = TargetScaler::fit(train.targets(), TargetScale::Standard)?;
    let scaled = |split: InMemory| {
        let inputs = (0..split.modalities().len()).map(|m| split.input(m).shallow_clone());
        let targets = scaler.apply(split.targets())?;
        InMemory::new(split.modalities().to_vec(), inputs, targets)
    };
    let splits = [scaled(train)?, scaled(val)?, scaled(test)?];
    let task = PredictionTask::regression(scaler, &splits.each_ref().map(InMemory::targets));
    Ok((splits, task))
}
