//! Gaussian noise from a generator of its own.

use rand::{Rng, SeedableRng, rngs::StdRng};
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{
    error::{Error, Result},
    transfer,
};

/// Draws standard normal tensors; the same seed gives the same draws on every device. In a file it
/// is its seed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "u64", into = "u64")]
pub(super) struct Noise {
    seed: u64,
    /// Tensors drawn so far: each is drawn from a generator of its own, so that this number alone says
    /// how to go on.
    pub drawn: u64,
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
        Self { seed, drawn: 0 }
    }

    /// N(0, 1) in the shape, kind and place of `like`.
    pub(super) fn normal_like(&mut self, like: &Tensor) -> Result<Tensor> {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&self.drawn.to_le_bytes());
        self.drawn += 1;
        let normal = StdRng::from_seed(seed).sample_iter(StandardNormal);
        let values: Vec<f32> = normal.take(like.numel()).collect();
        let failed = |source| Error::torch("draw gradient noise", source);
        let noise = Tensor::f_from_slice(&values)
            .and_then(|flat| flat.f_view(like.size().as_slice()))
            .map_err(failed)?;
        transfer::send(&noise, like.device())?.f_to_kind(like.kind()).map_err(failed)
    }
}
