//! Every hyper-parameter: a preset, overridden by a TOML file, overridden by flags.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use g2d::{
    PerModality,
    loss::{Distillation, FeatureReduction},
    optim::{LrSchedule, SgdConfig},
    paper::networks::{Backbone, ClassifierConfig, FusionKind, Initialisation},
    schedule::Ranking,
    trainer::KeepWeights,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::support::{
    lab::{Recipe, Setting},
    methods::{HowSuppressed, Schedule},
};

/// Hyper-parameters as given; what is not given keeps the preset's value.
///
/// A TOML file has the same names as the flags, with `_` for `-`.
#[derive(Debug, Clone, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// Seed of initialisation, shuffling, augmentation and splits
    #[arg(long)]
    seed: Option<u64>,
    /// Epochs of every training
    #[arg(long)]
    epochs: Option<u64>,
    /// Batch size
    #[arg(long)]
    batch_size: Option<usize>,
    /// Learning rate of SGD
    #[arg(long)]
    lr: Option<f64>,
    /// Epochs after which the learning rate is multiplied by --lr-gamma, again and again
    #[arg(long, value_name = "EPOCHS")]
    lr_step: Option<u64>,
    /// Factor of the learning rate
    #[arg(long)]
    lr_gamma: Option<f64>,
    /// Momentum of SGD
    #[arg(long)]
    momentum: Option<f64>,
    /// Weight decay of SGD
    #[arg(long)]
    weight_decay: Option<f64>,
    /// compact or res_net18
    #[arg(long, value_parser = named::<Backbone>)]
    backbone: Option<Backbone>,
    /// sum, concat, late, film or gated
    #[arg(long, value_parser = named::<FusionKind>)]
    fusion: Option<FusionKind>,
    /// tch or authors
    #[arg(long, value_parser = named::<Initialisation>)]
    init: Option<Initialisation>,
    /// The epoch whose weights a teacher keeps: last, or best on validation data
    #[arg(long, value_parser = named::<KeepWeights>)]
    teacher: Option<KeepWeights>,
    /// τ_1: epochs in which encoders are suppressed or modulated
    #[arg(long, value_name = "EPOCHS")]
    stage: Option<u64>,
    /// skip_backward, or authors: gradients of 4-D parameters multiplied after a full backward
    #[arg(long, value_parser = named::<HowSuppressed>)]
    suppression: Option<HowSuppressed>,
    /// α of partial suppression
    #[arg(long)]
    partial_alpha: Option<f64>,
    /// α of OGM and OGM-GE
    #[arg(long)]
    ogm_alpha: Option<f64>,
    /// Weight of the task's own loss
    #[arg(long)]
    task_weight: Option<f64>,
    /// α, the weight of all feature terms
    #[arg(long)]
    alpha: Option<f64>,
    /// β, the weight of all logit terms
    #[arg(long)]
    beta: Option<f64>,
    /// Weight of each modality's feature term: audio,visual
    #[arg(long, value_delimiter = ',')]
    feature_weight: Option<Vec<f64>>,
    /// Weight of each modality's logit term: audio,visual
    #[arg(long, value_delimiter = ',')]
    logit_weight: Option<Vec<f64>>,
    /// Temperature of each modality's logit term: audio,visual
    #[arg(long, value_delimiter = ',')]
    temperature: Option<Vec<f64>>,
    /// mean (the authors' code) or squared_norm (the paper)
    #[arg(long, value_parser = named::<FeatureReduction>)]
    feature_reduction: Option<FeatureReduction>,
}

/// Hyper-parameters, all of them known.
#[derive(Debug, Clone, Serialize)]
pub struct Settings {
    seed: u64,
    epochs: u64,
    pub batch_size: usize,
    lr: f64,
    lr_step: u64,
    lr_gamma: f64,
    momentum: f64,
    weight_decay: f64,
    backbone: Backbone,
    fusion: FusionKind,
    init: Initialisation,
    teacher: KeepWeights,
    stage: u64,
    suppression: HowSuppressed,
    partial_alpha: f64,
    ogm_alpha: f64,
    distillation: Distillation,
}

impl Overrides {
    /// Reads a TOML file; a name it does not know is an error.
    pub fn from_toml(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} does not fit", path.display()))
    }

    /// For two cores and small images: minutes, not days.
    pub fn compact(self) -> Result<Settings> {
        let epochs = self.epochs.unwrap_or(50);
        self.over(Settings {
            seed: 1,
            epochs,
            batch_size: 32,
            lr: 0.01,
            lr_step: (epochs * 2 / 3).max(1),
            lr_gamma: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            backbone: Backbone::Compact,
            fusion: FusionKind::Late,
            init: Initialisation::Authors,
            teacher: KeepWeights::Last,
            stage: epochs / 2,
            suppression: HowSuppressed::SkipBackward,
            partial_alpha: 1.0,
            ogm_alpha: 1.0,
            distillation: Distillation::default(),
        })
    }

    /// The authors' defaults.
    pub fn authors(self) -> Result<Settings> {
        self.over(Settings {
            seed: 999,
            epochs: 300,
            batch_size: 16,
            lr: 1e-3,
            lr_step: 200,
            lr_gamma: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
            backbone: Backbone::ResNet18,
            fusion: FusionKind::Late,
            init: Initialisation::Authors,
            teacher: KeepWeights::Best,
            stage: 151, // modulation_starts 0 to modulation_ends 150, both included
            suppression: HowSuppressed::SkipBackward,
            partial_alpha: 1.0,
            ogm_alpha: 1.0,
            distillation: Distillation::default(),
        })
    }

    /// `self` where it says something, else `other`.
    pub fn or(self, other: Self) -> Self {
        macro_rules! first { ($($field:ident),*) => { Self { $($field: self.$field.or(other.$field)),* } } }
        first!(
            seed,
            epochs,
            batch_size,
            lr,
            lr_step,
            lr_gamma,
            momentum,
            weight_decay,
            backbone,
            fusion,
            init,
            teacher,
            stage,
            suppression,
            partial_alpha,
            ogm_alpha,
            task_weight,
            alpha,
            beta,
            feature_weight,
            logit_weight,
            temperature,
            feature_reduction
        )
    }

    fn over(self, mut settings: Settings) -> Result<Settings> {
        macro_rules! set {
            ($($field:ident),*) => { $(if let Some(value) = self.$field { settings.$field = value; })* };
        }
        set!(
            seed,
            epochs,
            batch_size,
            lr,
            lr_step,
            lr_gamma,
            momentum,
            weight_decay,
            backbone,
            fusion,
            init,
            teacher,
            stage,
            suppression,
            partial_alpha,
            ogm_alpha
        );
        let distillation = &mut settings.distillation;
        let scalars = [
            (&mut distillation.task_weight, self.task_weight),
            (&mut distillation.alpha, self.alpha),
            (&mut distillation.beta, self.beta),
        ];
        for (setting, given) in scalars {
            *setting = given.unwrap_or(*setting);
        }
        if let Some(reduction) = self.feature_reduction {
            distillation.feature_reduction = reduction;
        }
        let each = [
            (&mut distillation.feature_weight, self.feature_weight),
            (&mut distillation.logit_weight, self.logit_weight),
            (&mut distillation.temperature, self.temperature),
        ];
        for (setting, given) in each {
            match given.as_deref() {
                None => {}
                Some([one]) => *setting = PerModality::All(*one),
                Some(many) => *setting = PerModality::Each(many.to_vec()),
            }
        }
        settings.check()?;
        Ok(settings)
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        ensure!(self.epochs > 0 && self.batch_size > 0, "epochs and batch_size must be above 0");
        ensure!(self.lr_step > 0, "lr_step must be above 0");
        ensure!(self.stage <= self.epochs, "stage must not exceed epochs ({})", self.epochs);
        let sgd = [self.lr, self.lr_gamma, self.momentum, self.weight_decay];
        ensure!(
            sgd.iter().all(|x| x.is_finite() && *x >= 0.0) && self.lr > 0.0,
            "lr must be above 0, lr_gamma, momentum and weight_decay at least 0"
        );
        Ok(())
    }

    /// A few steps only.
    pub fn smoke(mut self) -> Self {
        (self.epochs, self.stage) = (2, 1);
        self
    }

    /// The students' networks.
    pub fn classifier(&self) -> ClassifierConfig {
        let authors = ClassifierConfig::authors(self.fusion);
        ClassifierConfig { backbone: self.backbone, init: self.init, ..authors }
    }

    /// What the lab is told.
    pub fn setting(&self) -> Result<Setting> {
        let Self { lr, momentum, weight_decay, stage, partial_alpha, ogm_alpha, .. } = *self;
        let recipe = Recipe {
            epochs: self.epochs,
            batch_size: self.batch_size,
            rule: SgdConfig { lr, momentum, weight_decay, ..Default::default() },
            lr: LrSchedule::step(self.lr_step, self.lr_gamma),
            keep: self.teacher,
            schedule: Schedule {
                stages: vec![stage],
                ranking: Ranking::Batch,
                partial_alpha,
                ogm_alpha,
                suppression: self.suppression,
            },
            distillation: self.distillation.clone(),
        };
        let (config, words) = (serde_json::to_value(self)?, self.to_string());
        Ok(Setting { seed: self.seed, recipe, config, words })
    }
}

impl std::fmt::Display for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { epochs, stage, batch_size, lr, lr_step, backbone, fusion, .. } = self;
        write!(
            f,
            "{backbone:?} encoders, {fusion:?} fusion, {epochs} epochs (τ₁ {stage}), batch \
             {batch_size}, SGD {lr} (× {} every {lr_step})",
            self.lr_gamma
        )
    }
}

/// A choice by the name that it has in files.
fn named<T: DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|error| error.to_string())
}
