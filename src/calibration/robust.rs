//! Robust calibration of unimodal heads.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    labelled::{Labelled, mean},
    prediction::Heads,
    search::minimum,
};
use crate::error::Result;
use crate::trainer::Predictions;

/// The calibration of one head: with probability ε it is no better than a guess.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustHead {
    /// Temperature t.
    pub temperature: f64,
    /// ε in [0, 1), the share of samples on which the head knows nothing.
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
    pub nll: f64,
}

impl Robust {
    /// Fits the heads of a student to its predictions on validation data.
    ///
    /// # Errors
    /// As [`Temperature::fit`](super::Temperature::fit); [`Error::Config`](crate::Error::Config) for a
    /// student without unimodal heads.
    pub fn fit(validation: &Predictions) -> Result<Self> {
        let heads = Heads::of(validation)?;
        let fitted = heads.fit(&validation.targets, |data| Ok(RobustHead::of(data)))?;
        let mut robust = Self { heads: fitted, nll: f64::NAN };
        let logits = robust.logits(validation)?;
        robust.nll = Labelled::new("the student", &logits, &validation.targets)?.nll(1.0);
        Ok(robust)
    }

    /// The log-scores [N, C] of the prediction, `Double`; their softmax are its probabilities.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for predictions of a student with other heads.
    pub fn logits(&self, predictions: &Predictions) -> Result<Tensor> {
        let heads = Heads::of(predictions)?;
        heads.check(self.heads.len())?;
        heads.sum(|m, z| self.heads[m].log_probabilities(z))
    }
}

impl RobustHead {
    fn of(data: &Labelled) -> Self {
        // For each temperature the best ε by golden section, since the NLL is convex in ε.
        let best = |log_t: f64| {
            let p = (&data.logits * (-log_t).exp()).softmax(1, Kind::Double);
            let own = data.at_labels(&p);
            let nll =
                |epsilon: f64| -mean(&(&own * (1.0 - epsilon) + epsilon / data.classes()).log());
            minimum(0.0, 0.999, 20, nll)
        };
        let (log_t, _) = minimum(0.01f64.ln(), 100f64.ln(), 60, |log_t| best(log_t).1);
        Self { temperature: log_t.exp(), epsilon: best(log_t).0 }
    }

    /// log((1 − ε) σ(z / t) + ε / C).
    fn log_probabilities(&self, logits: &Tensor) -> Tensor {
        let p = (logits / self.temperature).softmax(1, Kind::Double);
        let classes = logits.size()[1] as f64;
        // Without ε a probability may underflow to 0, whose logarithm the softmax has exactly.
        if self.epsilon == 0.0 {
            return (logits / self.temperature).log_softmax(1, Kind::Double);
        }
        (p * (1.0 - self.epsilon) + self.epsilon / classes).log()
    }
}
