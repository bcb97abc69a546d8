//! How a trained student's outputs become a prediction.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use super::{
    Mixture, Robust, Temperature,
    labelled::{Labelled, failed},
};
use crate::batch::Rows;
use crate::error::{self, Result};
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
    /// As [`Temperature::fit`].
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
    /// As [`Temperature::fit`].
    pub fn select(validation: &Predictions) -> Result<Self> {
        let lower = |best: Self, other: Self| if other.nll() < best.nll() { other } else { best };
        let best = Self::fit_all(validation)?.into_iter().reduce(lower);
        best.ok_or_else(|| error::config("predictions", "at least one", "none", "fit one"))
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
    /// [`Error::Config`](crate::Error::Config) for predictions of a student with other heads.
    pub fn logits(&self, predictions: &Predictions) -> Result<Tensor> {
        match self {
            Self::Fused(Temperature { value, .. }) => {
                Ok(predictions.logits.f_to_kind(Kind::Double).map_err(failed)? / *value)
            }
            Self::Mixture(mixture) => mixture.logits(predictions),
            Self::Robust(robust) => robust.logits(predictions),
        }
    }
}

/// The unimodal logits of a student's predictions, and the samples that have each modality.
pub(super) struct Heads {
    logits: Vec<Tensor>,
    rows: Vec<Rows>,
}

impl Heads {
    pub(super) fn of(predictions: &Predictions) -> Result<Self> {
        if predictions.heads.is_empty() {
            let expected = "unimodal logits of the student";
            let hint = "implement `Student::unimodal_logits`, or add heads with `heads::WithHeads`";
            return Err(error::config("predictions to calibrate", expected, "none", hint));
        }
        let mut heads = Self { logits: Vec::new(), rows: Vec::new() };
        for (modality, logits) in &predictions.heads {
            let flags = predictions.present.iter().find(|(other, _)| other == modality);
            let rows =
                flags.map(|(_, flags)| Rows::from_present(flags, Device::Cpu)).transpose()?;
            heads.rows.push(rows.unwrap_or_default());
            heads.logits.push(logits.f_to_kind(Kind::Double).map_err(failed)?);
        }
        Ok(heads)
    }

    /// Refuses another number of heads than `expected`.
    pub(super) fn check(&self, expected: usize) -> Result<()> {
        if self.logits.len() == expected {
            return Ok(());
        }
        let (found, hint) = (self.logits.len(), "predict with the student that was calibrated");
        let expected = format!("{expected}, as in the calibration");
        Err(error::config("unimodal heads of the predictions", expected, found, hint))
    }

    /// Fits each head to the samples that have its modality.
    pub(super) fn fit<T>(
        &self,
        targets: &Tensor,
        fit: impl Fn(&Labelled) -> Result<T>,
    ) -> Result<Vec<T>> {
        let head = |(logits, rows): (&Tensor, &Rows)| {
            let what = "a unimodal head";
            fit(&Labelled::new(what, &rows.select(logits)?, &rows.select(targets)?)?)
        };
        self.logits.iter().zip(&self.rows).map(head).collect()
    }

    /// The sum of `each` over the heads, for each sample over the modalities that it has.
    pub(super) fn sum(&self, each: impl Fn(usize, &Tensor) -> Tensor) -> Result<Tensor> {
        let mut sum = self.logits[0].f_zeros_like().map_err(failed)?;
        let batch = sum.size()[0];
        for (m, (logits, rows)) in self.logits.iter().zip(&self.rows).enumerate() {
            if !rows.is_missing() {
                let own = rows.spread(each(m, &rows.select(logits)?), batch)?;
                sum = sum.f_add(&own).map_err(failed)?;
            }
        }
        Ok(sum)
    }
}
