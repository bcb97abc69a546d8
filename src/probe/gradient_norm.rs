//! Norm of each encoder's gradient.

use super::{ImbalanceProbe, interval::Interval, means::Means, vectors};
use crate::error::{Error, Result};
use crate::step::{Measurement, Observation};

/// `gradient_norm`: the L2 norm of each encoder's gradient, concatenated over its parameters, as the
/// optimizer receives it; the mean over the observed steps.
///
/// A suppressed encoder has no gradient and counts as 0. Steps whose whole batch lacks the modality are
/// omitted. Cost: one pass over the gradients per observed step.
#[derive(Debug)]
pub struct GradientNorm {
    interval: Interval,
    norm: Means,
}

impl GradientNorm {
    /// Observes the first of every `interval` optimizer steps; 0 is treated as 1.
    pub fn with_interval(interval: u64) -> Self {
        Self { interval: Interval::new(interval), norm: Means::new("gradient_norm") }
    }
}

impl Default for GradientNorm {
    /// Observes every step.
    fn default() -> Self {
        Self::with_interval(1)
    }
}

impl ImbalanceProbe for GradientNorm {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        if !self.interval.includes(step) {
            return Ok(());
        }
        for m in (0..step.modalities().len()).filter(|&m| !step.combined.is_missing(m)) {
            let norm = vectors::norm(step.params.gradients(m))
                .map_err(|source| Error::torch("compute the norm of a gradient", source))?;
            let mean = self.norm.modality(step.modalities(), m);
            match norm {
                Some(norm) => mean.add(&norm, step.weight_of_rank())?,
                None => mean.add_zero(step.weight_of_rank()),
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.norm.take()
    }

    means_state!(norm);
}
