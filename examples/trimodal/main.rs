//! Three modalities or more from features that someone else has extracted: teachers, joint training,
//! joint training with SMP, L_G2D, and both together.
//!
//! Without `--data` it trains on a generated set whose weakest modality carries what the others lack;
//! with `--data DIR` on a folder of features (docs/data.md). SMP has two stages: the columns `kappa_*`
//! of `g2d_smp/epochs.csv` show the weakest encoder learn alone, then the next, then all.

mod generated;
#[path = "../support/mod.rs"]
mod support;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use clap::{CommandFactory, FromArgMatches, Parser};
use g2d::{
    Modality,
    data::InMemory,
    paper::{
        data::{FeatureShape, Features, TargetScale, TargetScaler},
        networks::{EncoderConfig, MixedConfig, MixedFusion, MlpConfig, SequenceConfig},
    },
};
use rand::{SeedableRng, rngs::StdRng};
use tch::Kind;

use crate::support::{
    lab::{
        self,
        arguments::{RunArguments, Settings},
        problem::{Mixed, Problem, Splits},
        task::Task,
    },
    methods::Method,
};

/// Classes or values from pre-extracted features of several modalities.
#[derive(Debug, Parser)]
#[command(args_override_self = true)]
struct Arguments {
    /// Folder of features; a generated set without it
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The modalities to use, in this order; all that the folder has without it
    #[arg(long, value_delimiter = ',', requires = "data")]
    modalities: Option<Vec<String>>,
    /// Feature width of every encoder
    #[arg(long, default_value_t = 32)]
    width: i64,
    #[command(flatten)]
    run: RunArguments,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> Result<()> {
    let command = Arguments::command()
        .mut_arg("out", |arg| arg.default_value("target/trimodal"))
        .mut_arg("epochs", |arg| arg.default_value("80"))
        .mut_arg("stages", |arg| arg.default_value("40,10"));
    let arguments = Arguments::from_arg_matches(&command.get_matches())?;
    let setting = arguments.settings.setting(arguments.run.smoke)?;
    lab::compare(&arguments.run, &setting, &Method::ANY, |seed, folder| {
        arguments.problem(seed, folder)
    })
}

impl Arguments {
    /// The data on the training split's scale, which is saved beside the results.
    fn problem(&self, seed: u64, folder: &Path) -> Result<Problem> {
        let (name, features) = match &self.data {
            Some(data) => (support::name_of(data), self.read(data)?),
            None => ("a generated set of three modalities".to_owned(), generated::features(0)?),
        };
        let (features, scales) = features.standardised()?;
        let path = folder.join("standardisation.json");
        std::fs::write(&path, serde_json::to_string_pretty(&scales)? + "\n")
            .with_context(|| format!("write {}", path.display()))?;
        let Features { train, val, test, shapes } = features;
        let (train, val) = match val {
            Some(val) => (train, val),
            None => train.hold_out(0.1, &mut StdRng::seed_from_u64(seed))?,
        };
        if train.targets().kind() == Kind::Int64 {
            let largest = |set: &InMemory| set.targets().max().int64_value(&[]);
            let classes = [&train, &val, &test].map(largest).into_iter().max().unwrap_or(0) + 1;
            let config = self.network(&train, &shapes, classes);
            return Ok(problem(name, [train, val, test], config, Task::Classes(classes)));
        }
        let scaler = TargetScaler::fit(train.targets(), TargetScale::Standard)?;
        let scaled = |set: &InMemory| {
            let inputs = (0..set.modalities().len()).map(|m| set.input(m).shallow_clone());
            let targets = scaler.apply(set.targets())?;
            InMemory::new(set.modalities().to_vec(), inputs.collect(), targets)
        };
        let (train, val, test) = (scaled(&train)?, scaled(&val)?, scaled(&test)?);
        let task = Task::value(scaler, &[train.targets(), val.targets(), test.targets()]);
        let config = self.network(&train, &shapes, 1);
        Ok(problem(name, [train, val, test], config, task))
    }

    fn read(&self, folder: &Path) -> Result<Features> {
        let modalities = match &self.modalities {
            Some(names) => Modality::list(names),
            None => Features::modalities(folder)?,
        };
        Ok(Features::read(folder, &modalities)?)
    }

    fn network(&self, train: &InMemory, shapes: &[FeatureShape], outputs: i64) -> MixedConfig {
        let encoder = |shape: &FeatureShape| match *shape {
            FeatureShape::Vector(d) => {
                EncoderConfig::Table(MlpConfig::plain(d, &[2 * self.width, self.width]))
            }
            FeatureShape::Sequence(input) => {
                EncoderConfig::Sequence(SequenceConfig { input, hidden: self.width })
            }
        };
        let names = train.modalities().iter().cloned();
        let encoders = names.zip(shapes.iter().map(encoder)).collect();
        MixedConfig { encoders, fusion: MixedFusion::Late, outputs }
    }
}

fn problem(name: String, splits: [InMemory; 3], config: MixedConfig, task: Task) -> Problem {
    let modalities = splits[0].modalities().to_vec();
    let networks = Arc::new(Mixed { config, backbone_weights: None });
    Problem { name, modalities, splits: Splits::in_memory(splits), networks, task }
}
