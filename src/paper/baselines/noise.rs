//! Gaussian noise from a generator of its own.

use rand::{Rng, SeedableRng, rngs::StdRng};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Result};

/// Draws standard normal tensors; the same seed gives the same draws on every device. In a file it
/// is its seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(super) struct Noise {
    seed: u64,
    rng: StdRng,
}

impl From<u64> for Noise {
    fn from(seed: u64) -> Self {
        Self::seeded(seed)
    }
}

impl From<Noise> for u64 {
    fn from(noise: Noise) -> Self {
        noise.seed
    }
}

impl Noise {
    pub(super) fn seeded(seed: u64) -> Self {
        Self { seed, rng: StdRng::seed_from_u64(seed) }
    }

    /// N(0, 1) in the shape, kind and place of `like`.
    pub(super) fn normal_like(&mut self, like: &Tensor) -> Result<Tensor> {
        let normal = (&mut self.rng).sample_iter(StandardNormal);
        let values: Vec<f32> = normal.take(like.numel()).collect();
        Tensor::f_from_slice(&values)
            .and_then(|flat| flat.f_view(like.size().as_slice()))
            .and_then(|noise| noise.f_to_device(like.device())?.f_to_kind(like.kind()))
            .map_err(|source| Error::torch("draw gradient noise", source))
    }
}
