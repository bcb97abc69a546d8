//! The command line that the examples share.

use std::{fmt, ops::Range, path::PathBuf};

use anyhow::{Result, ensure};
use g2d::Ranking;
use serde::Serialize;
use tch::{
    Device,
    nn::{self, OptimizerConfig, VarStore},
};

use super::Lab;
use crate::support::methods::{Method, Schedule};

/// What is run, and where.
#[derive(Debug, clap::Args)]
pub struct LabArguments {
    /// Seed of initialisation and shuffling
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seeds to run, counted up from --seed; more than one also writes results.json, table.md and
    /// figure.svg
    #[arg(long, default_value_t = 1, value_name = "N")]
    seeds: u64,
    /// Methods to compare: joint, joint_smp, umt, g2d_loss, g2d_smp, g2d_partial
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::FOUR)]
    methods: Vec<Method>,
    /// Where CSV files and summary.json go
    #[arg(long, value_name = "DIR", default_value = "target/lab")]
    pub out: PathBuf,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu", value_parser = parse_device)]
    device: Device,
    /// Trainings at a time; the number of cores without it
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// A few epochs on a few samples: does it run at all?
    #[arg(long)]
    pub smoke: bool,
    #[command(flatten)]
    settings: Settings,
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

/// What all trainings share. The examples give `epochs` and the like their own defaults.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub struct Settings {
    /// Epochs of every training
    #[arg(long, default_value = "40")]
    pub epochs: u64,
    /// τ_1, τ_2, …: epochs in which one encoder after the other learns alone, weakest first
    #[arg(long = "stages", value_delimiter = ',', default_value = "20")]
    pub stages: Vec<u64>,
    /// What ranks the modalities
    #[arg(long, value_enum, default_value_t)]
    ranking: RankedBy,
    /// Batch size
    #[arg(long, default_value = "32")]
    pub batch_size: usize,
    /// Learning rate of SGD
    #[arg(long, default_value = "0.01")]
    lr: f64,
    /// Epoch from which the learning rate is a tenth; two thirds of the epochs without it
    #[arg(long, value_name = "EPOCH")]
    lr_drop: Option<u64>,
    /// Momentum of SGD
    #[arg(long, default_value = "0.9")]
    momentum: f64,
    /// Weight decay of SGD
    #[arg(long, default_value = "0.0001")]
    weight_decay: f64,
    /// The epoch whose weights a teacher keeps
    #[arg(long, value_enum, default_value_t)]
    pub teacher: TeacherEpoch,
    /// α of partial suppression
    #[arg(long, default_value = "0.5")]
    partial_alpha: f64,
}

impl LabArguments {
    /// Refuses what cannot work, before any data is read.
    pub fn check(&self) -> Result<()> {
        let Settings { epochs, batch_size, lr, momentum, weight_decay, .. } = self.settings;
        ensure!(epochs > 0 && batch_size > 0, "--epochs and --batch-size must be above 0");
        let stages: u64 = self.settings.stages.iter().sum();
        ensure!(stages <= epochs, "--stages must not exceed --epochs ({epochs}) in all");
        let finite = [lr, momentum, weight_decay].iter().all(|x| x.is_finite() && *x >= 0.0);
        ensure!(
            finite && lr > 0.0,
            "--lr must be above 0, --momentum and --weight-decay at least 0"
        );
        let ogm = self.methods.iter().any(|m| matches!(m, Method::Ogm | Method::OgmGe));
        ensure!(!ogm, "--methods: OGM is for two modalities and classes; see audio_visual");
        Ok(())
    }

    pub fn seeds(&self) -> Range<u64> {
        self.seed..self.seed + self.seeds
    }

    /// Where a seed's files go.
    pub fn folder(&self, seed: u64) -> PathBuf {
        if self.seeds > 1 { self.out.join(format!("seed{seed}")) } else { self.out.clone() }
    }

    pub fn lab(&self, seed: u64, out: PathBuf) -> Lab {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut settings = self.settings.clone();
        if self.smoke {
            settings.stages.fill(1);
            settings.epochs = settings.stages.len() as u64 + 1;
        }
        let (methods, device) = (self.methods.clone(), self.device);
        Lab { seed, device, jobs: self.jobs.unwrap_or(cores).max(1), methods, settings, out }
    }
}

impl Settings {
    /// The authors' StepLR, as a function of the epoch.
    pub fn lr_at(&self, epoch: u64) -> f64 {
        let drop = self.lr_drop.unwrap_or(self.epochs * 2 / 3);
        if epoch < drop { self.lr } else { self.lr * 0.1 }
    }

    pub fn optimizer(&self, vs: &VarStore) -> Result<nn::Optimizer> {
        Ok(nn::sgd(self.momentum, 0.0, self.weight_decay, false).build(vs, self.lr)?)
    }

    pub fn schedule(&self) -> Schedule {
        let ranking = match self.ranking {
            RankedBy::Batch => Ranking::Batch,
            RankedBy::PreviousEpoch => Ranking::PreviousEpoch,
        };
        let (stages, partial_alpha) = (self.stages.clone(), self.partial_alpha);
        Schedule { stages, ranking, partial_alpha, ogm_alpha: partial_alpha }
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epochs, stages, batch_size, lr, weight_decay, .. } = self;
        write!(
            f,
            "{epochs} epochs (stages {stages:?}), batch {batch_size}, SGD {lr}, weight decay \
             {weight_decay}"
        )
    }
}

fn parse_device(text: &str) -> Result<Device, String> {
    match text.split_once(':').map_or((text, "0"), |(kind, index)| (kind, index)) {
        ("cpu", _) => Ok(Device::Cpu),
        ("cuda", index) => index.parse().map(Device::Cuda).map_err(|e| format!("{text}: {e}")),
        _ => Err(format!("{text:?}: expected cpu, cuda or cuda:N")),
    }
}
