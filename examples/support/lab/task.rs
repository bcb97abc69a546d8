//! What is predicted, and what it is measured by.

use g2d::{
    G2dLoss, G2dTrainer, Modality,
    loss::{Classification, Distillation, Regression},
    metrics,
    optim::SgdConfig,
    paper::data::TargetScaler,
    trainer::{Builder, UnimodalTrainer},
};
use tch::{Kind, Tensor};

use super::problem::Splits;
use crate::support::metric::{Better, Digits, Metric};

/// What is predicted.
#[derive(Clone)]
pub enum Task {
    /// One of so many classes, from 0.
    #[allow(dead_code, reason = "regression has none")]
    Classes(i64),
    /// A value, learnt on the scaler's scale and measured in its own unit; as a percentage too where
    /// no target is 0 or below. `mean` is that of the training targets, in their unit.
    #[allow(dead_code, reason = "audio_visual has none")]
    Value { scaler: TargetScaler, percentages: bool, mean: f64 },
}

const MAPE: Metric = Metric {
    key: "mape",
    name: "MAPE",
    unit: "%",
    better: Better::Lower,
    digits: Digits::Decimals(2),
};
const RMSE: Metric =
    Metric { key: "rmse", name: "RMSE", unit: "", digits: Digits::Significant(3), ..MAPE };
const MAE: Metric = Metric { key: "mae", name: "MAE", ..RMSE };
const R2: Metric =
    Metric {
        key: "r2", name: "R²", unit: "", better: Better::Higher, digits: Digits::Decimals(3)
    };

impl Task {
    /// The regression of the splits' targets, which are on the scaler's scale.
    #[allow(dead_code, reason = "audio_visual has none")]
    pub fn value(scaler: TargetScaler, splits: &[&Tensor; 3]) -> Self {
        let positive = |set: &&Tensor| scaler.invert(set).min().double_value(&[]) > 0.0;
        let percentages = splits.iter().all(positive);
        let mean = scaler.invert(splits[0]).mean(Kind::Double).double_value(&[]);
        Self::Value { scaler, percentages, mean }
    }

    /// What it is measured by; the first decides.
    pub fn metrics(&self) -> &'static [Metric] {
        match self {
            Self::Classes(_) => &[Metric::ACCURACY],
            Self::Value { percentages: true, .. } => &[MAPE, RMSE, MAE, R2],
            Self::Value { percentages: false, .. } => &[MAE, RMSE, R2],
        }
    }

    /// The metrics of predictions, in their order.
    pub fn measure(&self, predictions: &Tensor, targets: &Tensor) -> g2d::Result<Vec<f64>> {
        Ok(match self {
            Self::Classes(_) => vec![100.0 * metrics::accuracy(predictions, targets)?],
            Self::Value { scaler, percentages, .. } => {
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

    /// The metric that decides, so that higher is better.
    pub fn score(&self, predictions: &Tensor, targets: &Tensor) -> g2d::Result<f64> {
        Ok(self.metrics()[0].goodness(self.measure(predictions, targets)?[0]))
    }

    /// A teacher's trainer.
    pub fn teaching(&self, modality: &Modality, m: usize, rule: SgdConfig) -> UnimodalTrainer<'_> {
        let modality = modality.clone();
        match self {
            Self::Classes(_) => UnimodalTrainer::new(modality, m, Classification::default(), rule),
            Self::Value { .. } => UnimodalTrainer::new(modality, m, Regression::default(), rule),
        }
    }

    /// A trainer with the student's loss.
    pub fn trainer(&self, distillation: Distillation) -> Builder {
        match self {
            Self::Classes(_) => G2dTrainer::builder(Classification::new(distillation)),
            Self::Value { .. } => G2dTrainer::builder(Regression::new(distillation)),
        }
    }

    /// ρ of predictions.
    pub fn confidence(&self, predictions: &Tensor, targets: &Tensor) -> g2d::Result<f64> {
        let rho = match self {
            Self::Classes(_) => Classification::default().confidence(predictions, targets),
            Self::Value { .. } => Regression::default().confidence(predictions, targets),
        };
        Ok(rho?.double_value(&[]))
    }

    /// What the training targets' mean, said of every sample, is worth; of classes, nothing.
    pub fn baseline(&self, targets: &Tensor) -> g2d::Result<Option<Vec<f64>>> {
        let Self::Value { scaler, mean, .. } = self else { return Ok(None) };
        let mean = scaler.apply(&Tensor::from(*mean).expand_as(targets))?;
        self.measure(&mean, targets).map(Some)
    }

    /// The metric that decides, as a diagnosis takes it, and the factor that turns its values into ours.
    pub fn judged(&self, splits: &Splits) -> g2d::Result<(g2d::diagnosis::Metric, f64)> {
        match self {
            Self::Classes(classes) => {
                Ok((g2d::diagnosis::Metric::accuracy(*classes as u32), 100.0))
            }
            Self::Value { .. } => {
                let targets = splits.val.targets();
                let mean = targets.map_or(Ok(None), |targets| self.baseline(targets))?;
                let chance = mean.map_or(f64::NAN, |values| values[0]);
                Ok((g2d::diagnosis::Metric::error(self.metrics()[0].name, chance), 1.0))
            }
        }
    }
}
