//! In which kind layers compute.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    error::{Error, Result},
    libtorch::Autocast,
};

/// In which kind student and teachers compute: autocast, as in PyTorch.
///
/// Weights stay in their own kind (`Float`) and gradients are made in it. Encoders, fusion,
/// projections and live teachers run under autocast; losses, ρ and probes are given `Float` tensors,
/// and backward runs outside. Layers in `Double` are left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// As the tensors are; autocast is left as the caller has it.
    #[default]
    Full,
    /// `BFloat16`: `Float`'s range, 8 bits of precision; needs no loss scaling.
    Bf16,
    /// `Half` with dynamic loss scaling ([`LossScaling`](crate::trainer::LossScaling)): a step whose gradients
    /// overflow is skipped. One wait for the device a window.
    Fp16,
}

impl Precision {
    /// The kind that autocast computes in.
    fn kind(self) -> Option<Kind> {
        match self {
            Self::Full => None,
            Self::Bf16 => Some(Kind::BFloat16),
            Self::Fp16 => Some(Kind::Half),
        }
    }

    /// Autocast until the answer is dropped.
    pub(super) fn region(self, device: Device) -> Result<Option<Autocast>> {
        self.kind().map(|kind| Autocast::enter(device, kind)).transpose()
    }

    /// What left a region, in `Float`; connected to its graph.
    pub(super) fn widen(self, tensor: Tensor) -> Result<Tensor> {
        match tensor.kind() {
            Kind::Half | Kind::BFloat16 if self != Self::Full => tensor
                .f_to_kind(Kind::Float)
                .map_err(|source| Error::torch("convert to Float", source)),
            _ => Ok(tensor),
        }
    }
}
