//! What is given and what is predicted.

use std::{fmt, path::PathBuf};

use anyhow::{Result, ensure};
use g2d::{
    Classification, Distillation, G2dLoss, G2dTrainer, G2dTrainerBuilder, Regression, metrics,
    paper::{
        data::{InMemory, TargetScaler},
        networks::{MixedConfig, MixedNetwork, UnimodalNetwork},
    },
};
use tch::{Kind, Reduction, Tensor, nn::VarStore};

use crate::support::metric::{Better, Digits, Metric, Scores};

/// The three splits that all trainings see.
pub struct Splits {
    pub train: InMemory,
    pub val: InMemory,
    pub test: InMemory,
}

/// Data, networks and the task.
pub struct Problem {
    pub name: String,
    pub splits: Splits,
    pub network: MixedConfig,
    /// ImageNet weights of the image backbones.
    pub backbone_weights: Option<PathBuf>,
    pub task: Task,
}

/// What is predicted.
#[derive(Clone)]
pub enum Task {
    /// A class, from 0.
    #[allow(dead_code, reason = "regression has none")]
    Classes,
    /// A value, learnt on the scaler's scale and measured in its own unit; as a percentage too where
    /// no target is 0 or below.
    Value { scaler: TargetScaler, percentages: bool },
}

const MAPE: Metric = Metric {
    key: "mape",
    title: "MAPE %",
    better: Better::Lower,
    digits: Digits::Decimals(2),
    range: [0.0, f64::INFINITY],
};
const RMSE: Metric = Metric { key: "rmse", title: "RMSE", digits: Digits::Significant(3), ..MAPE };
const MAE: Metric = Metric { key: "mae", title: "MAE", ..RMSE };
const R2: Metric = Metric {
    key: "r2",
    title: "R²",
    better: Better::Higher,
    digits: Digits::Decimals(3),
    range: [f64::NEG_INFINITY, 1.0],
};

impl Task {
    /// The regression of the splits' targets, which are on the scaler's scale.
    pub fn value(scaler: TargetScaler, splits: &Splits) -> Self {
        let positive = |set: &InMemory| scaler.invert(set.targets()).min().double_value(&[]) > 0.0;
        let percentages = [&splits.train, &splits.val, &splits.test].into_iter().all(positive);
        Self::Value { scaler, percentages }
    }

    /// What it is measured by; the first decides.
    pub fn metrics(&self) -> &'static [Metric] {
        match self {
            Self::Classes => &[Metric::ACCURACY],
            Self::Value { percentages: true, .. } => &[MAPE, RMSE, MAE, R2],
            Self::Value { percentages: false, .. } => &[MAE, RMSE, R2],
        }
    }

    /// The metrics of predictions, in their order.
    pub fn measure(&self, predictions: &Tensor, targets: &Tensor) -> Result<Vec<f64>> {
        Ok(match self {
            Self::Classes => vec![100.0 * metrics::accuracy(predictions, targets)?],
            Self::Value { scaler, percentages } => {
                let (p, y) = (scaler.invert(predictions), scaler.invert(targets));
                let (rmse, mae, r2) =
                    (metrics::rmse(&p, &y)?, metrics::mae(&p, &y)?, metrics::r2(&p, &y)?);
                match percentages {
                    true => vec![metrics::mape(&p, &y)?, rmse, mae, r2],
                    false => vec![mae, rmse, r2],
                }
            }
        })
    }

    /// The loss of a teacher.
    pub fn loss(&self, predictions: &Tensor, targets: &Tensor) -> Tensor {
        match self {
            Self::Classes => predictions.cross_entropy_for_logits(targets),
            Self::Value { .. } => predictions.view_as(targets).mse_loss(targets, Reduction::Mean),
        }
    }

    /// A trainer with the student's loss.
    pub fn trainer(&self, distillation: Distillation) -> G2dTrainerBuilder {
        match self {
            Self::Classes => G2dTrainer::builder(Classification::new(distillation)),
            Self::Value { .. } => G2dTrainer::builder(Regression::new(distillation)),
        }
    }

    /// ρ of predictions.
    pub fn confidence(&self, predictions: &Tensor, targets: &Tensor) -> Result<f64> {
        let rho = match self {
            Self::Classes => Classification::default().confidence(predictions, targets),
            Self::Value { .. } => Regression::default().confidence(predictions, targets),
        };
        Ok(rho?.double_value(&[]))
    }
}

impl Problem {
    /// The first `n` samples of each split.
    pub fn first(self, n: usize) -> Result<Self> {
        let Splits { train, val, test } = self.splits;
        let splits = Splits { train: train.first(n)?, val: val.first(n)?, test: test.first(n)? };
        Ok(Self { splits, ..self })
    }

    /// A handle on the same samples for another thread.
    pub fn share(&self) -> Self {
        let Splits { train, val, test } = &self.splits;
        Self {
            name: self.name.clone(),
            splits: Splits { train: train.share(), val: val.share(), test: test.share() },
            network: self.network.clone(),
            backbone_weights: self.backbone_weights.clone(),
            task: self.task.clone(),
        }
    }

    pub fn student(&self, vs: &VarStore) -> Result<MixedNetwork> {
        let network = MixedNetwork::new(vs, &self.network)?;
        if let Some(file) = &self.backbone_weights {
            network.load_image_weights(vs, file)?;
        }
        Ok(network)
    }

    pub fn teacher(&self, m: usize, vs: &VarStore) -> Result<UnimodalNetwork> {
        ensure!(m < self.network.encoders.len(), "the network has no modality {m}");
        let encoder = &self.network.encoders[m].1;
        let network = UnimodalNetwork::new(vs, encoder, self.network.outputs)?;
        if let (Some(file), true) = (&self.backbone_weights, encoder.is_image()) {
            network.load_image_weights(vs, file)?;
        }
        Ok(network)
    }

    /// What the training targets alone predict for the test samples: their mean. Of classes, nothing.
    pub fn baseline(&self) -> Result<Option<(String, Scores)>> {
        let Task::Value { scaler, .. } = &self.task else { return Ok(None) };
        let mean = scaler.invert(self.splits.train.targets()).mean(Kind::Double);
        let targets = self.splits.test.targets();
        let predictions = scaler.apply(&mean.expand_as(targets))?;
        let values = self.task.measure(&predictions, targets)?;
        let names = self.task.metrics().iter().map(|metric| metric.on("test"));
        Ok(Some(("mean of the training targets".to_owned(), names.zip(values).collect())))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Splits { train, val, test } = &self.splits;
        let (name, train, val, test) = (&self.name, train.len(), val.len(), test.len());
        write!(f, "{name}: {train} training, {val} validation, {test} test samples")
    }
}
