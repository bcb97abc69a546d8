//! A mixture of fused logits and unimodal heads.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    Temperature,
    labelled::{Labelled, failed, mean},
    prediction::Heads,
    search::root,
};
use crate::error::Result;
use crate::trainer::Predictions;

/// The prediction α z / t + (1 − α) Σ_m z_m / t_m of fused logits z and unimodal logits z_m, where α in
/// [0, 1] and the temperatures minimise the NLL on validation data. A sample's sum is over the modalities
/// that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixture {
    /// α, the share of the fused logits.
    pub alpha: f64,
    /// t, the temperature of the fused logits.
    pub fused: f64,
    /// t_m, the temperature of each head, in the student's order.
    pub heads: Vec<f64>,
    /// The NLL on the validation data, in nats.
    pub nll: f64,
}

impl Mixture {
    /// Fits the mixture to the predictions of a student on validation data: each temperature by itself,
    /// then α, in which the NLL is convex.
    ///
    /// # Errors
    /// As [`Temperature::fit`]; [`Error::Config`](crate::Error::Config) for a student without unimodal
    /// heads.
    pub fn fit(validation: &Predictions) -> Result<Self> {
        let heads = Heads::of(validation)?;
        let fused = Labelled::new("the student", &validation.logits, &validation.targets)?;
        let t = Temperature::of(&fused).value;
        let temperatures =
            heads.fit(&validation.targets, |data| Ok(Temperature::of(data).value))?;
        let [a, b] = [&fused.logits / t, heads.sum(|m, z| z / temperatures[m])?];
        let difference = &a - &b;
        let own = mean(&fused.at_labels(&difference));
        // d NLL / dα = mean(Σ_j p_j (a_j − b_j) − (a_y − b_y)).
        let mixed = |alpha: f64| &a * alpha + &b * (1.0 - alpha);
        let slope = |alpha: f64| {
            let p = mixed(alpha).softmax(1, Kind::Double);
            mean(&(p * &difference).sum_dim_intlist(1, false, Kind::Double)) - own
        };
        let alpha = root(0.0, 1.0, slope);
        let nll = fused.with_logits(mixed(alpha)).nll(1.0);
        Ok(Self { alpha, fused: t, heads: temperatures, nll })
    }

    /// The logits [N, C] of the mixture, `Double`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for predictions of a student with other heads.
    pub fn logits(&self, predictions: &Predictions) -> Result<Tensor> {
        let heads = Heads::of(predictions)?;
        heads.check(self.heads.len())?;
        let sum = heads.sum(|m, z| z / self.heads[m])?;
        let fused = predictions.logits.f_to_kind(Kind::Double).map_err(failed)?;
        Ok(fused * (self.alpha / self.fused) + sum * (1.0 - self.alpha))
    }
}
