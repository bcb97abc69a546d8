//! Hyper-parameters: a preset, overridden by a TOML file, overridden by flags.

use std::{fmt, path::Path};

use anyhow::{Context, Result, ensure};
use g2d::{
    loss::{Distillation, FeatureReduction},
    optim::{LrSchedule, SgdConfig},
    paper::{
        baselines::MlaProjection,
        networks::{Backbone, ClassifierConfig, FusionKind, Initialisation},
    },
    schedule::Ranking,
    trainer::{GradientScope, KeepWeights, Precision, SuppressedMode},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::support::{
    command_line::choice,
    comparison::{ComparisonConfig, ComputeConfig, TrainingConfig},
    composition::{BalancedConfig, MethodConfig, SuppressionStyle},
    rivals::RivalConfig,
};

/// Hyper-parameters that replace those of a preset.
///
/// A TOML file has the same names as the flags, with `_` for `-`.
#[derive(Debug, Clone, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HyperParameterFlags {
    /// Seed of initialisation, shuffling, augmentation and splits
    #[arg(long)]
    seed: Option<u64>,
    /// Number of epochs of every training
    #[arg(long)]
    epochs: Option<u64>,
    /// Batch size
    #[arg(long)]
    batch_size: Option<usize>,
    /// Learning rate of SGD
    #[arg(long)]
    lr: Option<f64>,
    /// Number of epochs between multiplications of the learning rate by --lr-gamma
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
    /// Backbone of the encoders: compact or res_net18
    #[arg(long, value_parser = choice::<Backbone>)]
    backbone: Option<Backbone>,
    /// Fusion: sum, concat, late, film or gated
    #[arg(long, value_parser = choice::<FusionKind>)]
    fusion: Option<FusionKind>,
    /// Initialisation: tch or authors
    #[arg(long, value_parser = choice::<Initialisation>)]
    init: Option<Initialisation>,
    /// Weights that teachers keep: those of the last epoch, or of the best on validation data
    #[arg(long, value_parser = choice::<KeepWeights>)]
    teacher: Option<KeepWeights>,
    /// τ_1: number of epochs in which encoders are suppressed or modulated
    #[arg(long, value_name = "EPOCHS")]
    stage: Option<u64>,
    /// Suppression: skip_backward, or authors (gradients of 4-D parameters are multiplied by κ)
    #[arg(long, value_parser = choice::<SuppressionStyle>)]
    suppression: Option<SuppressionStyle>,
    /// α of partial suppression
    #[arg(long)]
    partial_alpha: Option<f64>,
    /// α of OGM and OGM-GE
    #[arg(long)]
    ogm_alpha: Option<f64>,
    /// Temperature of the head and ensemble terms of balanced training
    #[arg(long)]
    head_temperature: Option<f64>,
    /// Weight of the task loss beside an ensemble term, and for a fusion without heads
    #[arg(long)]
    fused_weight: Option<f64>,
    /// α of AGM
    #[arg(long, value_name = "ALPHA")]
    agm_alpha: Option<f64>,
    /// α of PMR
    #[arg(long, value_name = "ALPHA")]
    pmr_alpha: Option<f64>,
    /// γ of MMPareto
    #[arg(long, value_name = "GAMMA")]
    mmpareto_gamma: Option<f64>,
    /// Projection of MLA: as_run (none), as_written, current or previous
    #[arg(long, value_parser = choice::<MlaProjection>)]
    mla_projection: Option<MlaProjection>,
    /// w₁ of ReconBoost
    #[arg(long, value_name = "WEIGHT")]
    recon_boost_weight: Option<f64>,
    /// Number of epochs of a phase of ReconBoost
    #[arg(long, value_name = "EPOCHS")]
    recon_boost_epochs: Option<u64>,
    /// α of DGL
    #[arg(long, value_name = "ALPHA")]
    dgl_alpha: Option<f64>,
    /// Factor on β of InfoReg
    #[arg(long, value_name = "FACTOR")]
    info_reg_beta: Option<f64>,
    /// Dtype of forward passes: full, bf16 or fp16
    #[arg(long, value_parser = choice::<Precision>)]
    precision: Option<Precision>,
    /// Mode of a suppressed encoder: train (as in the authors' code), evaluation, or cached
    /// (evaluation, once per stage)
    #[arg(long, value_parser = choice::<SuppressedMode>)]
    suppressed_mode: Option<SuppressedMode>,
    /// Weight of the task loss
    #[arg(long)]
    task_weight: Option<f64>,
    /// α, the weight of all feature terms
    #[arg(long)]
    alpha: Option<f64>,
    /// β, the weight of all logit terms
    #[arg(long)]
    beta: Option<f64>,
    /// Weight of the feature term, for all modalities or each: AUDIO,VISUAL
    #[arg(long, value_delimiter = ',')]
    feature_weight: Option<Vec<f64>>,
    /// Weight of the logit term, for all modalities or each: AUDIO,VISUAL
    #[arg(long, value_delimiter = ',')]
    logit_weight: Option<Vec<f64>>,
    /// Temperature of the logit term, for all modalities or each: AUDIO,VISUAL
    #[arg(long, value_delimiter = ',')]
    temperature: Option<Vec<f64>>,
    /// Reduction of the feature term: mean (authors' code) or squared_norm (paper)
    #[arg(long, value_parser = choice::<FeatureReduction>)]
    feature_reduction: Option<FeatureReduction>,
}

/// The hyper-parameters of a comparison. In JSON all of them but `distillation` are on one level.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HyperParameters {
    seed: u64,
    #[serde(flatten)]
    optimisation: Optimisation,
    #[serde(flatten)]
    networks: NetworkChoices,
    teacher: KeepWeights,
    #[serde(flatten)]
    suppression: SuppressionParameters,
    #[serde(flatten)]
    balanced: BalancedConfig,
    #[serde(flatten)]
    rivals: RivalConfig,
    #[serde(flatten)]
    compute: ComputeConfig,
    distillation: Distillation,
}

/// The hyper-parameters of SGD.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Optimisation {
    epochs: u64,
    batch_size: usize,
    lr: f64,
    lr_step: u64,
    lr_gamma: f64,
    momentum: f64,
    weight_decay: f64,
}

/// The networks of teachers and students.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct NetworkChoices {
    backbone: Backbone,
    fusion: FusionKind,
    init: Initialisation,
}

/// The hyper-parameters of suppression and modulation.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SuppressionParameters {
    stage: u64,
    #[serde(rename = "suppression")]
    style: SuppressionStyle,
    partial_alpha: f64,
    ogm_alpha: f64,
}

impl HyperParameterFlags {
    /// Reads a TOML file. An unknown name is an error.
    pub fn from_toml(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("{} is not valid", path.display()))
    }

    /// The values of `self`, and those of `other` that `self` does not have.
    pub fn or(&self, other: Self) -> Result<Self> {
        let mut values = other.values()?;
        values.extend(self.values()?);
        Ok(serde_json::from_value(values.into())?)
    }

    /// The given values by name.
    fn values(&self) -> Result<Map<String, Value>> {
        let mut values: Map<String, Value> = serde_json::from_value(serde_json::to_value(self)?)?;
        values.retain(|_, value| !value.is_null());
        Ok(values)
    }
}

impl HyperParameters {
    /// Minutes of training on two cores, for small images.
    pub fn compact(flags: &HyperParameterFlags) -> Result<Self> {
        let epochs = flags.epochs.unwrap_or(50);
        let optimisation = Optimisation {
            epochs,
            batch_size: 32,
            lr: 0.01,
            lr_step: (epochs * 2 / 3).max(1),
            lr_gamma: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
        };
        Self::preset(1, optimisation, Backbone::Compact, KeepWeights::Last, epochs / 2).with(flags)
    }

    /// The authors' defaults.
    pub fn authors(flags: &HyperParameterFlags) -> Result<Self> {
        let optimisation = Optimisation {
            epochs: 300,
            batch_size: 16,
            lr: 1e-3,
            lr_step: 200,
            lr_gamma: 0.1,
            momentum: 0.9,
            weight_decay: 1e-4,
        };
        // The authors' modulation_starts 0 to modulation_ends 150, inclusive.
        let stage = 151;
        Self::preset(999, optimisation, Backbone::ResNet18, KeepWeights::Best, stage).with(flags)
    }

    fn preset(
        seed: u64,
        optimisation: Optimisation,
        backbone: Backbone,
        teacher: KeepWeights,
        stage: u64,
    ) -> Self {
        Self {
            seed,
            optimisation,
            networks: NetworkChoices {
                backbone,
                fusion: FusionKind::Late,
                init: Initialisation::Authors,
            },
            teacher,
            suppression: SuppressionParameters {
                stage,
                style: SuppressionStyle::SkipBackward,
                partial_alpha: 1.0,
                ogm_alpha: 1.0,
            },
            balanced: BalancedConfig::default(),
            rivals: RivalConfig::default(),
            compute: ComputeConfig::default(),
            distillation: Distillation::default(),
        }
    }

    /// Replaces the given values and checks the result.
    fn with(self, flags: &HyperParameterFlags) -> Result<Self> {
        let mut all = serde_json::to_value(self)?;
        for (name, value) in flags.values()? {
            let value = match value {
                // A list of one element is one value for all modalities.
                Value::Array(mut list) if list.len() == 1 => list.remove(0),
                other => other,
            };
            let place = match all["distillation"].get_mut(&name) {
                Some(place) => place,
                None => &mut all[&name],
            };
            *place = value;
        }
        let parameters: Self = serde_json::from_value(all)?;
        parameters.check()?;
        Ok(parameters)
    }

    fn check(&self) -> Result<()> {
        let Optimisation { epochs, batch_size, lr, lr_step, lr_gamma, momentum, weight_decay } =
            self.optimisation;
        ensure!(epochs > 0 && batch_size > 0, "epochs and batch_size must be above 0");
        ensure!(lr_step > 0, "lr_step must be above 0");
        ensure!(self.suppression.stage <= epochs, "stage must not exceed epochs ({epochs})");
        let sgd = [lr, lr_gamma, momentum, weight_decay];
        ensure!(
            sgd.iter().all(|x| x.is_finite() && *x >= 0.0) && lr > 0.0,
            "lr must be above 0, lr_gamma, momentum and weight_decay at least 0"
        );
        Ok(())
    }

    /// The same for a smoke test of two epochs.
    pub fn smoke(mut self) -> Self {
        (self.optimisation.epochs, self.suppression.stage) = (2, 1);
        self
    }

    pub fn batch_size(&self) -> usize {
        self.optimisation.batch_size
    }

    /// The networks of teachers and students.
    pub fn classifier(&self) -> ClassifierConfig {
        let NetworkChoices { backbone, fusion, init } = self.networks;
        ClassifierConfig { backbone, init, ..ClassifierConfig::authors(fusion) }
    }

    /// The configuration of the comparison.
    pub fn config(&self) -> Result<ComparisonConfig> {
        let Optimisation { epochs, batch_size, lr, lr_step, lr_gamma, momentum, weight_decay } =
            self.optimisation;
        let SuppressionParameters { stage, style, partial_alpha, ogm_alpha } = self.suppression;
        let training = TrainingConfig {
            epochs,
            batch_size,
            sgd: SgdConfig { lr, momentum, weight_decay, ..Default::default() },
            lr_schedule: LrSchedule::step(lr_step, lr_gamma),
            teacher_weights: self.teacher,
            methods: MethodConfig {
                stages: vec![stage],
                ranking: Ranking::Batch,
                partial_alpha,
                ogm_alpha,
                ogm_scope: GradientScope::FourDimensional,
                suppression: style,
                balanced: self.balanced,
                rivals: self.rivals,
            },
            distillation: self.distillation.clone(),
            compute: self.compute,
        };
        // Compact networks gain nothing from a second thread.
        let threads = if self.networks.backbone == Backbone::Compact { 1 } else { 4 };
        let (json, description) = (serde_json::to_value(self)?, self.to_string());
        Ok(ComparisonConfig { seed: self.seed, threads, training, json, description })
    }
}

impl fmt::Display for HyperParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NetworkChoices { backbone, fusion, .. } = self.networks;
        let Optimisation { epochs, batch_size, lr, lr_step, lr_gamma, .. } = self.optimisation;
        let stage = self.suppression.stage;
        write!(
            f,
            "{backbone:?} encoders, {fusion:?} fusion, {epochs} epochs (τ₁ {stage}), batch \
             {batch_size}, SGD {lr} (× {lr_gamma} every {lr_step})"
        )
    }
}
