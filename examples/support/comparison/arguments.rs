//! The flags that the comparisons share.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use g2d::{
    loss::Distillation,
    optim::{LrSchedule, SgdConfig},
    schedule::Ranking,
    trainer::{GradientScope, KeepWeights},
};
use serde::Serialize;
use tch::Device;

use super::{
    compute::ComputeConfig,
    problem::Problem,
    setup::{ComparisonConfig, TrainingConfig},
};
use crate::support::{
    command_line,
    composition::{BalancedConfig, MethodConfig, SuppressionStyle},
    methods::Method,
    parallel::Workers,
    ranks,
    rivals::RivalConfig,
};

/// What is run, and where.
#[derive(Debug, clap::Args)]
pub struct RunArguments {
    /// Number of seeds, counted from --seed; more than one also writes results.json, table.md and
    /// figure.svg
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seeds: u64,
    /// Methods to compare
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Method::DEFAULT)]
    methods: Vec<Method>,
    /// Compare all methods that can train the data's modalities and targets
    #[arg(long, conflicts_with = "methods")]
    all_methods: bool,
    /// Compare the parts of balanced training, alone and together
    #[arg(long, conflicts_with_all = ["methods", "all_methods"])]
    ablation: bool,
    /// Folder for reports, run folders, snapshots and summary.json
    #[arg(long, alias = "run-dir", value_name = "DIR", default_value = "target/comparison")]
    pub out: PathBuf,
    /// Resume the interrupted run in the output folder
    #[arg(long)]
    pub resume: bool,
    /// Steps between two snapshots, in addition to those after each epoch
    #[arg(long, value_name = "STEPS", value_parser = clap::value_parser!(u64).range(1..))]
    pub save_every: Option<u64>,
    /// cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu", value_parser = command_line::device)]
    pub device: Device,
    /// Number of trainings at a time [default: as many as use all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Threads per training [default: 1, or up to 4 for ResNet-18]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    threads: Option<u32>,
    /// Leave out probes, Shapley values and linear probes, for a shorter training
    #[arg(long)]
    pub no_probes: bool,
    /// Train students together with the other ranks that a launcher has started (docs/distributed.md);
    /// ranks other than 0 write into a folder of their own
    #[arg(long)]
    distributed: bool,
    /// A few epochs on a few samples, to test that everything runs
    #[arg(long)]
    pub smoke: bool,
}

impl RunArguments {
    /// The methods to compare, which can solve `problem`.
    pub fn methods(&self, problem: &Problem) -> Result<Vec<Method>> {
        let (k, classes) = (problem.modalities.len(), problem.task.has_classes());
        let supported = |method: &Method| method.supports(k, classes);
        let has_steps_of_its_own = |method: &Method| method.rival().is_some();
        if self.distributed && (self.all_methods || self.methods.iter().any(has_steps_of_its_own)) {
            bail!(
                "--distributed trains joint, smp, g2d and balanced methods: name them by --methods"
            );
        }
        if self.all_methods {
            return Ok(Method::ALL.into_iter().filter(supported).collect());
        }
        if self.ablation {
            return Ok(Method::BALANCED_ABLATION.into_iter().filter(supported).collect());
        }
        if let Some(method) = self.methods.iter().find(|method| !supported(method)) {
            let key = method.key();
            bail!(
                "--methods: {key} does not support this data: OGM, an ensemble term and the methods of \
                 other papers need classes; OGM, PMR and InfoReg exactly two modalities"
            );
        }
        Ok(self.methods.clone())
    }

    /// Makes this process a rank, if the run is distributed.
    pub fn begin(&self) -> Result<()> {
        if !self.distributed {
            return Ok(());
        }
        ensure!(self.seeds == 1, "--distributed trains one seed");
        ranks::begin()
    }

    /// The output folder of a seed.
    pub fn folder(&self, seed: u64) -> PathBuf {
        let out =
            if self.seeds > 1 { self.out.join(format!("seed{seed}")) } else { self.out.clone() };
        ranks::folder(&out)
    }

    /// The trainings at a time, with `threads` threads each unless the user gives their number. The
    /// number of threads does not depend on that of trainings, since it changes how sums are rounded.
    pub fn workers(&self, threads: usize) -> Workers {
        if self.distributed {
            return Workers { jobs: 1, threads }; // the ranks train the same student
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map_or(threads.min(cores), |threads| threads as usize);
        let jobs = self.jobs.map_or((cores / threads).max(1), |jobs| jobs as usize);
        Workers { jobs, threads }
    }
}

/// The hyper-parameters of all trainings.
#[derive(Debug, Clone, Serialize, clap::Args)]
pub struct TrainingArguments {
    /// Seed of initialisation and shuffling
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of epochs of every training
    #[arg(long, default_value = "40")]
    epochs: u64,
    /// τ_1, τ_2, …: number of epochs in which one encoder is trained alone, the weakest first
    #[arg(long = "stages", value_delimiter = ',', default_value = "20")]
    stages: Vec<u64>,
    /// Ranking of the modalities by ρ: batch (as in the authors' code) or previous_epoch
    #[arg(long, value_parser = command_line::choice::<Ranking>, default_value = "previous_epoch")]
    ranking: Ranking,
    /// Batch size
    #[arg(long, default_value = "32")]
    batch_size: usize,
    /// Learning rate of SGD
    #[arg(long, default_value = "0.01")]
    lr: f64,
    /// Number of epochs between reductions of the learning rate to a tenth [default: two thirds of
    /// the epochs]
    #[arg(long, value_name = "EPOCHS")]
    lr_step: Option<u64>,
    /// Momentum of SGD
    #[arg(long, default_value = "0.9")]
    momentum: f64,
    /// Weight decay of SGD
    #[arg(long, default_value = "0.0001")]
    weight_decay: f64,
    /// Weights that teachers keep: those of the last epoch, or of the best on validation data
    #[arg(long, value_parser = command_line::choice::<KeepWeights>, default_value = "last")]
    teacher: KeepWeights,
    /// α of partial suppression
    #[arg(long, default_value = "0.5")]
    partial_alpha: f64,
    #[command(flatten)]
    #[serde(flatten)]
    balanced: BalancedConfig,
    #[command(flatten)]
    #[serde(flatten)]
    rivals: RivalConfig,
    #[command(flatten)]
    #[serde(flatten)]
    compute: ComputeConfig,
}

impl TrainingArguments {
    /// Checks the values before any data are read. With `smoke` the number of epochs is minimal.
    pub fn config(&self, smoke: bool) -> Result<ComparisonConfig> {
        let mut own = self.clone();
        if smoke {
            own.stages.fill(1);
            own.epochs = own.stages.len() as u64 + 1;
        }
        let json = serde_json::to_value(&own)?;
        let Self { seed, epochs, stages, batch_size, lr, momentum, weight_decay, .. } = own;
        ensure!(epochs > 0 && batch_size > 0, "--epochs and --batch-size must be above 0");
        ensure!(
            stages.iter().sum::<u64>() <= epochs,
            "the sum of --stages must not exceed --epochs ({epochs})"
        );
        let finite = [lr, momentum, weight_decay].iter().all(|x| x.is_finite() && *x >= 0.0);
        ensure!(
            finite && lr > 0.0,
            "--lr must be above 0, --momentum and --weight-decay at least 0"
        );
        let description = format!(
            "{epochs} epochs (stages {stages:?}), batch {batch_size}, SGD {lr}, weight decay \
             {weight_decay}"
        );
        let training = TrainingConfig {
            epochs,
            batch_size,
            sgd: SgdConfig { lr, momentum, weight_decay, ..Default::default() },
            lr_schedule: LrSchedule::step(own.lr_step.unwrap_or((epochs * 2 / 3).max(1)), 0.1),
            teacher_weights: own.teacher,
            methods: MethodConfig {
                stages,
                ranking: own.ranking,
                partial_alpha: own.partial_alpha,
                ogm_alpha: own.partial_alpha,
                // These networks have layers other than convolutions.
                ogm_scope: GradientScope::All,
                suppression: SuppressionStyle::SkipBackward,
                balanced: own.balanced,
                rivals: own.rivals,
            },
            distillation: Distillation::default(),
            compute: own.compute,
        };
        Ok(ComparisonConfig { seed, threads: 1, training, json, description })
    }
}
