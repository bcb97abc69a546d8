//! A mixture of fused logits and unimodal heads.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{
    Temperature,
    heads::Heads,
    margins::{Margins, failed, to_host},
    ranges,
    search::root,
};
use crate::error::Result;
use crate::trainer::Predictions;

/// The prediction α z / t + (1 − α) Σ_m z_m / t_m of fused logits z and unimodal logits z_m. Each
/// temperature minimises the NLL of its logits on validation data, and α in [0, 1] that of the mixture.
/// A sample's sum is over the modalities that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// α, the share of the fused logits.
    #[serde(deserialize_with = "ranges::share")]
    pub alpha: f64,
    /// t, the temperature of the fused logits.
    #[serde(deserialize_with = "ranges::temperature")]
    pub fused_temperature: f64,
    /// t_m, the temperature of each head, in the student's order.
    #[serde(deserialize_with = "ranges::temperatures")]
    pub head_temperatures: Vec<f64>,
    /// The NLL on the validation data, in nats.
    #[serde(deserialize_with = "ranges::nll")]
    pub nll: f64,
}

impl Mixture {
    /// Fits the mixture to the predictions of a student on validation data: the temperatures, then α, in
    /// which the NLL is convex.
    ///
    /// # Errors
    /// As [`Temperature::fit`], for each head over the samples that have its modality;
    /// [`Error::Config`](crate::Error::Config) for a student without unimodal heads.
    pub fn fit(validation: &Predictions) -> Result<Self> {
        let (heads, targets) = (Heads::new(validation)?, &validation.targets);
        let margins = |logits: &Tensor| Margins::new("the student", logits, targets);
        let fused = margins(&validation.logits)?;
        let t = Temperature::from_margins(&fused).value;
        let each = heads.fit(targets, |head| Temperature::from_margins(head).value)?;
        let (fused, sum) = (fused.0 / t, margins(&heads.sum(|m, z| z / each[m])?)?.0);
        let direction = fused - &sum;
        let mixed = |alpha: f64| Margins(&sum + &direction * alpha);
        let alpha = root(0.0, 1.0, |alpha| mixed(alpha).slope(&direction));
        let nll = mixed(alpha).nll(1.0);
        Ok(Self { alpha, fused_temperature: t, head_temperatures: each, nll })
    }

    /// The logits [N, C] of the mixture, `Double`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for predictions of a student with another number of
    /// heads, [`Error::Shape`](crate::Error::Shape) for heads of another shape than the fused logits.
    pub fn logits(&self, predictions: &Predictions) -> Result<Tensor> {
        let heads = Heads::new(predictions)?;
        heads.check(self.head_temperatures.len())?;
        let sum = heads.sum(|m, z| z / self.head_temperatures[m])?;
        self.mixed(&to_host(&predictions.logits)?, sum)
    }

    /// α z / t + (1 − α) s of fused logits z and the sum s over the heads.
    pub(super) fn mixed(&self, fused: &Tensor, sum: Tensor) -> Result<Tensor> {
        let fused = fused * (self.alpha / self.fused_temperature);
        fused.f_add(&(sum * (1.0 - self.alpha))).map_err(failed)
    }
}
