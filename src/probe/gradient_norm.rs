//! The size of each encoder's gradient.

use super::{ImbalanceProbe, is_due, means::Means, vectors};
use crate::{
    error::{Error, Result},
    state::State,
    step::{Measurement, Observation},
};

/// L2 norm of all of an encoder's gradients taken together, as the optimizer will see them, averaged
/// over the steps observed (`gradient_norm`). A suppressed encoder, which has none, counts as 0; a step
/// whose whole batch lacks the modality does not count.
///
/// Costs one pass over the encoders' gradients in every `every`-th step, no wait for the device.
#[derive(Debug)]
pub struct GradientNorm {
    every: u64,
    norm: Means,
}

impl GradientNorm {
    /// Observes the first of every `every` steps of the optimizer; 0 is taken as 1.
    pub fn every(every: u64) -> Self {
        Self { every: every.max(1), norm: Means::new("gradient_norm") }
    }
}

impl Default for GradientNorm {
    fn default() -> Self {
        Self::every(1)
    }
}

impl ImbalanceProbe for GradientNorm {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        if !is_due(step, self.every) {
            return Ok(());
        }
        for m in 0..step.modalities().len() {
            if step.rows[m].is_missing() {
                continue;
            }
            let norm = vectors::norm(step.params.gradients(m))
                .map_err(|source| Error::torch("take the norm of a gradient", source))?;
            let mean = self.norm.of(step.modalities(), m);
            match norm {
                Some(norm) => mean.add(&norm, 1.0)?,
                None => mean.add_zero(1.0),
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.norm.take()
    }

    fn state(&self) -> Result<State> {
        Means::save(&[&self.norm])
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut [&mut self.norm])
    }
}
