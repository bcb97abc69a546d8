//! The command line that the examples share.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use g2d::{
    loss::Distillation,
    optim::{LrSchedule, SgdConfig},
    schedule::Ranking,
    trainer::KeepWeights,
};
use serde::Serialize;
use tch::Device;

use super::{Recipe, Setting};
use crate::support::methods::{HowSuppressed, Method, Schedule};

/// What is run, and where.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Seeds to run, counted up from --seed; more than one also writes results.json, table.md and
    /// figure.svg
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seeds: u64,
    /// Methods to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::FOUR)]
    methods: Vec<Method>,
    /// Compare all methods
    #[arg(long, conflicts_with = "methods")]
    all_methods: bool,
    /// Where the reports, the run folders, snapshots and summary.json go
    #[arg(long, alias = "run-dir", value_name = "DIR", default_value = "target/lab")]
    pub out: PathBuf,
    /// Go on with the run in this folder, where it was stopped
    #[arg(long)]
    pub resume: bool,
    /// Steps between two snapshots, beside those at the ends of epochs
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub save_every: Option<u64>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu", value_parser = parse_device)]
    pub device: Device,
    /// Trainings at a time; the number of cores without it
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// A few epochs on a few samples: does it run at all?
    #[arg(long)]
    pub smoke: bool,
}

impl RunArguments {
    /// The methods asked for, which must be among `possible`.
    pub fn methods(&self, possible: &[Method]) -> Result<Vec<Method>> {
        if self.all_methods {
            return Ok(possible.to_vec());
        }
        let other = self.methods.iter().find(|method| !possible.contains(method));
        ensure!(
            other.is_none(),
            "--methods: OGM is for two modalities and classes; see audio_visual"
        );
        Ok(self.methods.clone())
    }

    /// Where a seed's files go.
    pub fn folder(&self, seed: u64) -> PathBuf {
        if self.seeds > 1 { self.out.join(format!("seed{seed}")) } else { self.out.clone() }
    }

    pub fn jobs(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        self.jobs.unwrap_or(cores).max(1)
    }
}

/// Which of its epochs a teacher is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum TeacherEpoch {
    /// The last: ρ then says how far the modality can be fitted
    #[default]
    Last,
    /// The best on validation data
    Best,
}

/// On what the order of modalities rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum RankedBy {
    /// ρ of each batch, as in the authors' code
    Batch,
    /// ρ of the epoch before
    #[default]
    PreviousEpoch,
}

/// What all trainings share, as flags. The examples give `epochs` and the like their own defaults.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub struct Settings {
    /// Seed of initialisation and shuffling
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Epochs of every training
    #[arg(long, default_value = "40")]
    epochs: u64,
    /// τ_1, τ_2, …: epochs in which one encoder after the other learns alone, weakest first
    #[arg(long = "stages", value_delimiter = ',', default_value = "20")]
    stages: Vec<u64>,
    /// What ranks the modalities
    #[arg(long, value_enum, default_value_t)]
    ranking: RankedBy,
    /// Batch size
    #[arg(long, default_value = "32")]
    batch_size: usize,
    /// Learning rate of SGD
    #[arg(long, default_value = "0.01")]
    lr: f64,
    /// Epochs after which the learning rate is a tenth, again and again; two thirds of the epochs
    /// without it
    #[arg(long, value_name = "EPOCHS")]
    lr_step: Option<u64>,
    /// Momentum of SGD
    #[arg(long, default_value = "0.9")]
    momentum: f64,
    /// Weight decay of SGD
    #[arg(long, default_value = "0.0001")]
    weight_decay: f64,
    /// The epoch whose weights a teacher keeps
    #[arg(long, value_enum, default_value_t)]
    teacher: TeacherEpoch,
    /// α of partial suppression
    #[arg(long, default_value = "0.5")]
    partial_alpha: f64,
}

impl Settings {
    /// Refuses what cannot work, before any data is read; a few epochs where `smoke` says so.
    #[allow(dead_code, reason = "audio_visual has more flags, and a file")]
    pub fn setting(&self, smoke: bool) -> Result<Setting> {
        let mut own = self.clone();
        if smoke {
            own.stages.fill(1);
            own.epochs = own.stages.len() as u64 + 1;
        }
        let Self { epochs, batch_size, lr, momentum, weight_decay, .. } = own;
        ensure!(epochs > 0 && batch_size > 0, "--epochs and --batch-size must be above 0");
        let stages: u64 = own.stages.iter().sum();
        ensure!(stages <= epochs, "--stages must not exceed --epochs ({epochs}) in all");
        let finite = [lr, momentum, weight_decay].iter().all(|x| x.is_finite() && *x >= 0.0);
        ensure!(
            finite && lr > 0.0,
            "--lr must be above 0, --momentum and --weight-decay at least 0"
        );
        let ranking = match own.ranking {
            RankedBy::Batch => Ranking::Batch,
            RankedBy::PreviousEpoch => Ranking::PreviousEpoch,
        };
        let words = format!(
            "{epochs} epochs (stages {:?}), batch {batch_size}, SGD {lr}, weight decay {weight_decay}",
            own.stages
        );
        let recipe = Recipe {
            epochs,
            batch_size,
            rule: SgdConfig { lr, momentum, weight_decay, ..Default::default() },
            lr: LrSchedule::step(own.lr_step.unwrap_or((epochs * 2 / 3).max(1)), 0.1),
            keep: match own.teacher {
                TeacherEpoch::Last => KeepWeights::Last,
                TeacherEpoch::Best => KeepWeights::Best,
            },
            schedule: Schedule {
                stages: own.stages.clone(),
                ranking,
                partial_alpha: own.partial_alpha,
                ogm_alpha: own.partial_alpha,
                suppression: HowSuppressed::SkipBackward,
            },
            distillation: Distillation::default(),
        };
        Ok(Setting { seed: own.seed, recipe, config: serde_json::to_value(&own)?, words })
    }
}

fn parse_device(text: &str) -> Result<Device, String> {
    match text.split_once(':').map_or((text, "0"), |(kind, index)| (kind, index)) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", index) => index.parse().map(Device::Cuda).map_err(|e| format!("{text}: {e}")),
        _ => Err(format!("{text:?}: expected cpu, cuda or cuda:N")),
    }
}
