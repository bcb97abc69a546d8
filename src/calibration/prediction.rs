//! How a trained student's outputs become a prediction.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    Mixture, Robust, Temperature,
    heads::check_heads,
    margins::{failed, to_host},
};
use crate::error::Result;
use crate::trainer::Predictions;

/// The prediction of a trained student from its fused logits and its unimodal heads, fitted on validation
/// data.
///
/// # Example
/// ```no_run
/// # fn example(student: &dyn g2d::Student, val: Vec<g2d::Result<g2d::Batch>>, test: Vec<g2d::Result<g2d::Batch>>) -> g2d::Result<()> {
/// use g2d::{calibration::Prediction, evaluate, metrics};
///
/// let prediction = Prediction::select(&evaluate(student, val)?)?;
/// let test = evaluate(student, test)?;
/// let accuracy = metrics::accuracy(&prediction.logits(&test)?, &test.targets)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prediction {
    /// The fused logits at their temperature.
    Fused(Temperature),
    /// A mixture of fused logits and heads.
    Mixture(Mixture),
    /// The heads, robustly calibrated.
    Robust(Robust),
}

impl Prediction {
    /// Fits `Fused`, `Mixture` and `Robust`, in this order, to the predictions of a student on
    /// validation data; `Fused` alone for a student without unimodal heads.
    ///
    /// # Errors
    /// As [`Temperature::fit`], for each head over the samples that have its modality.
    pub fn fit_all(validation: &Predictions) -> Result<Vec<Self>> {
        let fused = Temperature::fit(&validation.logits, &validation.targets)?;
        let mut all = vec![Self::Fused(fused)];
        if !validation.heads.is_empty() {
            all.push(Self::Mixture(Mixture::fit(validation)?));
            all.push(Self::Robust(Robust::fit(validation)?));
        }
        Ok(all)
    }

    /// The prediction of [`fit_all`](Self::fit_all) with the lowest NLL, the first of equals.
    ///
    /// # Errors
    /// As [`fit_all`](Self::fit_all).
    pub fn select(validation: &Predictions) -> Result<Self> {
        let mut all = Self::fit_all(validation)?; // at least `Fused`
        all.sort_by(|a, b| a.nll().total_cmp(&b.nll()));
        Ok(all.swap_remove(0))
    }

    /// `fused`, `mixture` or `robust`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fused(_) => "fused",
            Self::Mixture(_) => "mixture",
            Self::Robust(_) => "robust",
        }
    }

    /// The NLL on the validation data, in nats.
    pub fn nll(&self) -> f64 {
        match self {
            Self::Fused(temperature) => temperature.nll,
            Self::Mixture(mixture) => mixture.nll,
            Self::Robust(robust) => robust.nll,
        }
    }

    /// The calibrated logits [N, C] of predictions on any data, `Double`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for predictions of a student with another number of
    /// heads, [`Error::Shape`](crate::Error::Shape) for heads of another shape than the fused logits.
    pub fn logits(&self, predictions: &Predictions) -> Result<Tensor> {
        match self {
            Self::Fused(Temperature { value, .. }) => Ok(to_host(&predictions.logits)? / *value),
            Self::Mixture(mixture) => mixture.logits(predictions),
            Self::Robust(robust) => robust.logits(predictions),
        }
    }

    /// The calibrated logits [B, C], `Double`, of samples that have every modality, from their fused logits
    /// and the unimodal logits of all modalities (none for `Fused`). On the device of the logits and
    /// connected to their graph.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for another number of heads than in the calibration,
    /// [`Error::Torch`](crate::Error::Torch) for logits of different shapes.
    pub fn combine(&self, fused: &Tensor, heads: &[Tensor]) -> Result<Tensor> {
        let double = |logits: &Tensor| logits.f_to_kind(Kind::Double).map_err(failed);
        let fused = double(fused)?;
        let sum = |each: &dyn Fn(usize, &Tensor) -> Tensor| {
            let mut sum = fused.f_zeros_like().map_err(failed)?;
            for (m, logits) in heads.iter().enumerate() {
                sum = sum.f_add(&each(m, &double(logits)?)).map_err(failed)?;
            }
            Ok(sum)
        };
        match self {
            Self::Fused(Temperature { value, .. }) => Ok(&fused / *value),
            Self::Mixture(mixture) => {
                check_heads(mixture.head_temperatures.len(), heads.len())?;
                let heads = sum(&|m, z| z / mixture.head_temperatures[m])?;
                mixture.mixed(&fused, heads)
            }
            Self::Robust(robust) => {
                check_heads(robust.heads.len(), heads.len())?;
                sum(&|m, z| robust.heads[m].log_probabilities(z))
            }
        }
    }
}
