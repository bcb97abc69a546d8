//! The prediction task: its loss and its metrics.

use g2d::{
    G2dLoss, G2dTrainer, Modality, diagnosis,
    loss::{Classification, Distillation, Regression},
    metrics,
    optim::SgdConfig,
    paper::data::TargetScaler,
    trainer::{Builder, UnimodalTrainer},
};
use tch::{Kind, Tensor};

use crate::support::metric::ResultMetric;

/// What is predicted.
#[derive(Clone)]
pub enum PredictionTask {
    /// One of `classes` classes, labelled from 0.
    Classification { classes: i64 },
    /// A value, trained on the scale of `scaler` and evaluated in its own unit.
    Regression {
        scaler: TargetScaler,
        /// Whether all targets are positive, so that relative errors are defined.
        positive: bool,
        /// Mean of the training targets in their own unit.
        mean: f64,
    },
}

impl PredictionTask {
    /// The regression of the targets of train, validation and test, which are on the scale of `scaler`.
    pub fn regression(scaler: TargetScaler, targets: &[&Tensor; 3]) -> Self {
        let is_positive = |set: &&Tensor| scaler.invert(set).min().double_value(&[]) > 0.0;
        let positive = targets.iter().all(is_positive);
        let mean = scaler.invert(targets[0]).mean(Kind::Double).double_value(&[]);
        Self::Regression { scaler, positive, mean }
    }

    /// Returns whether classes are predicted.
    pub fn has_classes(&self) -> bool {
        matches!(self, Self::Classification { .. })
    }

    /// The metrics; the first selects weights and decides claims.
    pub fn metrics(&self) -> &'static [ResultMetric] {
        const MAPE: ResultMetric = ResultMetric::MAPE;
        const RMSE: ResultMetric = ResultMetric::RMSE;
        const MAE: ResultMetric = ResultMetric::MAE;
        const R2: ResultMetric = ResultMetric::R2;
        match self {
            Self::Classification { .. } => &[ResultMetric::ACCURACY],
            Self::Regression { positive: true, .. } => &[MAPE, RMSE, MAE, R2],
            Self::Regression { positive: false, .. } => &[MAE, RMSE, R2],
        }
    }

    /// The values of [`metrics`](Self::metrics).
    pub fn evaluate(&self, predictions: &Tensor, targets: &Tensor) -> g2d::Result<Vec<f64>> {
        Ok(match self {
            Self::Classification { .. } => vec![100.0 * metrics::accuracy(predictions, targets)?],
            Self::Regression { scaler, positive, .. } => {
                let (p, y) = (scaler.invert(predictions), scaler.invert(targets));
                let (rmse, mae, r2) =
                    (metrics::rmse(&p, &y)?, metrics::mae(&p, &y)?, metrics::r2(&p, &y)?);
                match positive {
                    true => vec![metrics::mape(&p, &y)?, rmse, mae, r2],
                    false => vec![mae, rmse, r2],
                }
            }
        })
    }

    /// The first metric as a score: higher is better.
    pub fn score(&self, predictions: &Tensor, targets: &Tensor) -> g2d::Result<f64> {
        Ok(self.metrics()[0].score(self.evaluate(predictions, targets)?[0]))
    }

    /// The score that selects an epoch on validation data: the first metric, for which a lower NLL
    /// breaks ties of accuracies. Higher is better.
    pub fn selection_score(&self, predictions: &Tensor, targets: &Tensor) -> g2d::Result<f64> {
        match self {
            Self::Classification { .. } => metrics::selection_score(predictions, targets),
            Self::Regression { .. } => self.score(predictions, targets),
        }
    }

    /// A trainer of teachers.
    pub fn teacher_trainer(
        &self,
        modality: &Modality,
        m: usize,
        sgd: SgdConfig,
    ) -> UnimodalTrainer<'_> {
        let modality = modality.clone();
        match self {
            Self::Classification { .. } => {
                UnimodalTrainer::new(modality, m, Classification::default(), sgd)
            }
            Self::Regression { .. } => {
                UnimodalTrainer::new(modality, m, Regression::default(), sgd)
            }
        }
    }

    /// A builder of a trainer with the student's loss.
    pub fn student_trainer(&self, distillation: Distillation) -> Builder {
        match self {
            Self::Classification { .. } => G2dTrainer::builder(Classification::new(distillation)),
            Self::Regression { .. } => G2dTrainer::builder(Regression::new(distillation)),
        }
    }

    /// ρ of predictions.
    pub fn confidence(&self, predictions: &Tensor, targets: &Tensor) -> g2d::Result<f64> {
        let rho = match self {
            Self::Classification { .. } => {
                Classification::default().confidence(predictions, targets)
            }
            Self::Regression { .. } => Regression::default().confidence(predictions, targets),
        };
        Ok(rho?.double_value(&[]))
    }

    /// The metrics of a model that always predicts the mean of the training targets; `None` for
    /// classification.
    pub fn mean_baseline(&self, targets: &Tensor) -> g2d::Result<Option<Vec<f64>>> {
        let Self::Regression { scaler, mean, .. } = self else { return Ok(None) };
        let mean = scaler.apply(&Tensor::from(*mean).expand_as(targets))?;
        self.evaluate(&mean, targets).map(Some)
    }

    /// The first metric for a diagnosis. `targets` are those of the validation data.
    pub fn diagnosis_metric(&self, targets: Option<&Tensor>) -> g2d::Result<diagnosis::Metric> {
        match self {
            Self::Classification { classes } => Ok(diagnosis::Metric::accuracy(*classes as u32)),
            Self::Regression { .. } => {
                let baseline = targets.map_or(Ok(None), |targets| self.mean_baseline(targets))?;
                let chance = baseline.map_or(f64::NAN, |values| values[0]);
                Ok(diagnosis::Metric::error(self.metrics()[0].name, chance))
            }
        }
    }
}
