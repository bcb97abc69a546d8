//! The temperature of a model.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::{
    labelled::{Labelled, mean},
    search::root,
};
use crate::error::Result;

/// The temperature t > 0 that minimises the mean negative log-likelihood of σ(l / t) on validation data
/// (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
///
/// The NLL is convex in 1/t, so t is the root of its derivative. It is searched in [0.001, 1000]: logits
/// that separate all validation samples have the lower bound, logits that are worse than uniform
/// probabilities at every temperature the upper one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Temperature {
    /// t.
    pub value: f64,
    /// The NLL at t, in nats.
    pub nll: f64,
}

/// The bounds of log t.
const LOG_BOUND: f64 = 6.907755278982137;

impl Temperature {
    /// Fits the temperature of `logits` [N, C] to labels `targets` \[N\].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for other shapes or no sample,
    /// [`Error::Kind`](crate::Error::Kind) for labels other than `Int64`,
    /// [`Error::Target`](crate::Error::Target) for a label out of range or a class without a sample,
    /// [`Error::NonFinite`](crate::Error::NonFinite) for logits that are not finite.
    pub fn fit(logits: &Tensor, targets: &Tensor) -> Result<Self> {
        Ok(Self::of(&Labelled::new("the model", logits, targets)?))
    }

    /// The temperature of checked logits.
    pub(super) fn of(data: &Labelled) -> Self {
        let own = mean(&data.at_labels(&data.logits));
        // d NLL / ds = mean(Σ_j p_j l_j − l_y) with s = 1 / t = exp(−log t), which decreases in log t.
        let slope = |log_t: f64| {
            let p = (&data.logits * (-log_t).exp()).softmax(1, Kind::Double);
            let expected = (p * &data.logits).sum_dim_intlist(1, false, Kind::Double);
            own - mean(&expected)
        };
        let value = root(-LOG_BOUND, LOG_BOUND, slope).exp();
        Self { value, nll: data.nll(value) }
    }
}
