//! Gaussian noise from a generator of its own.

use rand::{Rng, SeedableRng, rngs::StdRng};
use rand_distr::StandardNormal;
use tch::Tensor;

use crate::{Error, Result};

/// Draws standard normal tensors; the same seed gives the same draws on every device.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    rng: StdRng,
}

impl Noise {
    pub(super) fn seeded(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed) }
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
