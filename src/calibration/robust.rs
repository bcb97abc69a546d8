//! Robust calibration of unimodal heads.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    heads::Heads,
    margins::{Margins, mean},
    ranges,
    search::minimum,
};
use crate::error::Result;
use crate::trainer::Predictions;

/// The calibration of one head: with probability ε it is no better than a guess.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustHead {
    /// Temperature t, searched in [0.01, 100].
    #[serde(deserialize_with = "ranges::temperature")]
    pub temperature: f64,
    /// ε, the share of samples on which the head has no information, searched in [0, 0.999].
    #[serde(deserialize_with = "ranges::share")]
    pub epsilon: f64,
}

/// The prediction Σ_m log((1 − ε_m) σ(z_m / t_m) + ε_m / C) of the unimodal heads, where each (t_m, ε_m)
/// minimises the head's NLL on validation data. A head that is confidently wrong on some samples, because
/// their distribution differs from that of the training data, cannot outvote the others. A sample's sum is
/// over the modalities that it has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Robust {
    /// The calibration of each head, in the student's order.
    pub heads: Vec<RobustHead>,
    /// The NLL of the prediction on the validation data, in nats.
    #[serde(deserialize_with = "ranges::nll")]
    pub nll: f64,
}

impl Robust {
    /// Fits the heads of a student to its predictions on validation data.
    ///
    /// # Errors
    /// As [`Temperature::fit`](super::Temperature::fit), for each head over the samples that have its
    /// modality; [`Error::Config`](crate::Error::Config) for a student without unimodal heads.
    pub fn fit(validation: &Predictions) -> Result<Self> {
        let heads = Heads::new(validation)?.fit(&validation.targets, RobustHead::from_margins)?;
        let mut robust = Self { heads, nll: f64::NAN };
        let logits = robust.logits(validation)?;
        robust.nll = Margins::new("the student", &logits, &validation.targets)?.nll(1.0);
        Ok(robust)
    }

    /// The log-scores [N, C] of the prediction, `Double`; their softmax are its probabilities.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for predictions of a student with another number of
    /// heads, [`Error::Shape`](crate::Error::Shape) for heads of another shape than the fused logits.
    pub fn logits(&self, predictions: &Predictions) -> Result<Tensor> {
        let heads = Heads::new(predictions)?;
        heads.check(self.heads.len())?;
        heads.sum(|m, z| self.heads[m].log_probabilities(z))
    }
}

impl RobustHead {
    fn from_margins(margins: &Margins) -> Self {
        // The NLL is convex in ε, but not in the temperature.
        let best = |log_t: f64| {
            let p = margins.probability(log_t.exp());
            let nll = |e: f64| -mean(&(&p * (1.0 - e) + e / margins.classes()).log());
            minimum(0.0, 0.999, 20, nll)
        };
        let (log_t, _) = minimum(0.01f64.ln(), 100f64.ln(), 60, |log_t| best(log_t).1);
        Self { temperature: log_t.exp(), epsilon: best(log_t).0 }
    }

    /// log((1 − ε) σ(z / t) + ε / C), also where a probability underflows.
    pub(super) fn log_probabilities(&self, logits: &Tensor) -> Tensor {
        let log_p = (logits / self.temperature).log_softmax(1, Kind::Double);
        let guess = (self.epsilon / logits.size()[1] as f64).ln();
        (&log_p + (-self.epsilon).ln_1p()).logaddexp(&log_p.full_like(guess))
    }
}
