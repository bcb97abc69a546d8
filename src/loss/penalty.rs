//! The penalty of a regression's errors.

use serde::{Deserialize, Serialize};
use tch::{Reduction, Tensor};

use super::torch;
use crate::error::{self, Result};

/// The penalty h(e) of an error e = prediction − target.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Penalty {
    /// e², PyTorch's `mse_loss`.
    #[default]
    Squared,
    /// |e|, PyTorch's `l1_loss`.
    Absolute,
    /// e² / 2 up to |e| = δ, then δ (|e| − δ / 2): PyTorch's `huber_loss`, with δ > 0.
    Huber(f64),
    /// e² / (2 β) up to |e| = β, then |e| − β / 2: PyTorch's `smooth_l1_loss`, with β > 0. It is the Huber
    /// penalty divided by β.
    SmoothL1(f64),
}

impl Penalty {
    pub(super) fn check(self) -> Result<()> {
        match self {
            Self::Squared | Self::Absolute => Ok(()),
            Self::Huber(bound) | Self::SmoothL1(bound) if bound.is_finite() && bound > 0.0 => {
                Ok(())
            }
            Self::Huber(bound) | Self::SmoothL1(bound) => {
                let what = "bound of the penalty (δ of `Huber`, β of `SmoothL1`)";
                Err(error::out_of_range(what, "a finite number > 0", bound))
            }
        }
    }

    /// h(a − b) of two tensors of one shape, reduced.
    pub(super) fn of(self, a: &Tensor, b: &Tensor, reduction: Reduction) -> Result<Tensor> {
        match self {
            Self::Squared => a.f_mse_loss(b, reduction),
            Self::Absolute => a.f_l1_loss(b, reduction),
            Self::Huber(delta) => a.f_huber_loss(b, reduction, delta),
            Self::SmoothL1(beta) => a.f_smooth_l1_loss(b, reduction, beta),
        }
        .map_err(torch)
    }
}
