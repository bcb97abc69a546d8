//! The dtype in which forward passes run.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::{Error, Result};
use crate::libtorch::Autocast;

/// The dtype in which forward passes run: autocast, as in PyTorch.
///
/// Weights and gradients keep their own dtype (`Float`). Encoders, fusion, projections and teachers run
/// under autocast; losses, ρ and probes receive `Float` tensors, and backward runs outside autocast.
/// Layers in `Double` are not affected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// The dtype of the tensors. The caller's autocast, if any, stays in effect.
    #[default]
    Full,
    /// `BFloat16`: the range of `Float` with 8 bits of precision; needs no loss scaling.
    ///
    /// On processors with AMX, libtorch 2.13 computes a convolution with a stride wrongly if its output
    /// has one column and several rows (it reads memory that it has not written). Set
    /// `ONEDNN_MAX_CPU_ISA=AVX512_CORE_BF16` in the environment for a model with such a layer.
    Bf16,
    /// `Half` with dynamic loss scaling ([`LossScaling`](super::LossScaling)): a step whose gradients
    /// overflow is skipped. Costs one synchronisation with the device per accumulation window.
    Fp16,
}

impl Precision {
    /// Enables autocast until the returned value is dropped; `None` in full precision.
    pub(super) fn region(self, device: Device) -> Result<Option<Autocast>> {
        let kind = match self {
            Self::Full => return Ok(None),
            Self::Bf16 => Kind::BFloat16,
            Self::Fp16 => Kind::Half,
        };
        Autocast::enter(device, kind).map(Some)
    }

    /// The output of an autocast region in `Float`, connected to its graph.
    pub(super) fn widen(self, tensor: Tensor) -> Result<Tensor> {
        if self == Self::Full || !matches!(tensor.kind(), Kind::Half | Kind::BFloat16) {
            return Ok(tensor);
        }
        tensor.f_to_kind(Kind::Float).map_err(|e| Error::torch("convert to Float", e))
    }
}
