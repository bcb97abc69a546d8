//! The temperature of a model.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{margins::Margins, ranges, search::root};
use crate::error::Result;

/// The temperature t > 0 that minimises the mean negative log-likelihood of σ(l / t) on validation data
/// (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
///
/// The NLL is convex in 1/t, so t is the root of its derivative. It is searched in [0.001, 1000]: logits
/// that separate all validation samples have the lower bound; logits that are no better than uniform
/// probabilities at every temperature, equal ones for example, the upper one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Temperature {
    /// t.
    #[serde(deserialize_with = "ranges::temperature")]
    pub value: f64,
    /// The NLL at t, in nats.
    #[serde(deserialize_with = "ranges::nll")]
    pub nll: f64,
}

impl Temperature {
    /// Fits the temperature of `logits` [N, C] to labels `targets` \[N\].
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) for other shapes or no sample,
    /// [`Error::Kind`](crate::Error::Kind) for labels other than `Int64`,
    /// [`Error::Target`](crate::Error::Target) for a label out of range or a class without a sample,
    /// [`Error::NonFinite`](crate::Error::NonFinite) for logits that are not finite.
    pub fn fit(logits: &Tensor, targets: &Tensor) -> Result<Self> {
        Ok(Self::from_margins(&Margins::new("the model", logits, targets)?))
    }

    pub(super) fn from_margins(margins: &Margins) -> Self {
        // The NLL decreases in 1/t where it increases in log t.
        let slope = |log_t: f64| -Margins(&margins.0 * (-log_t).exp()).slope(&margins.0);
        let value = root(0.001f64.ln(), 1000f64.ln(), slope).exp();
        Self { value, nll: margins.nll(value) }
    }
}
