//! Gaussian noise from a generator of its own.

use std::f64::consts::TAU;

use rand::{Rng, SeedableRng, rngs::StdRng};
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

    /// N(0, 1) in the shape, kind and place of `like`, by Box and Muller's transform.
    pub(super) fn normal_like(&mut self, like: &Tensor) -> Result<Tensor> {
        let n = like.numel();
        let [radius, angle] = [0, 1].map(|_| {
            let mut values = vec![0.0_f32; n.div_ceil(2)];
            self.rng.fill(&mut values[..]);
            Tensor::from_slice(&values)
        });
        let draw = || {
            // 1 − u is in (0, 1], so its logarithm is finite.
            let radius = (radius.f_to_device(like.device())?.f_neg()? + 1.0).f_log()? * -2.0;
            let (radius, angle) = (radius.f_sqrt()?, angle.f_to_device(like.device())? * TAU);
            let pairs = [&radius * angle.f_cos()?, &radius * angle.f_sin()?];
            let flat = Tensor::f_cat(&pairs, 0)?.f_narrow(0, 0, n as i64)?;
            flat.f_reshape(like.size())?.f_to_kind(like.kind())
        };
        draw().map_err(|source| Error::torch("draw gradient noise", source))
    }
}
