//! The size of each encoder's gradient.

use tch::Tensor;

use super::{ImbalanceProbe, Measurement, Observation};
use crate::{Error, Modality, Result, mean::Mean};

/// L2 norm of all of an encoder's gradients taken together, as the optimizer will see them, averaged
/// over the steps observed (`gradient_norm`). A suppressed encoder, which has none, counts as 0; a step
/// whose whole batch lacks the modality does not count.
///
/// Costs one pass over the encoders' gradients in every `every`-th step, no wait for the device.
#[derive(Debug)]
pub struct GradientNorm {
    every: u64,
    means: Vec<(Modality, Mean)>,
}

impl GradientNorm {
    /// Observes the first of every `every` steps; 0 is taken as 1.
    pub fn every(every: u64) -> Self {
        Self { every: every.max(1), means: Vec::new() }
    }
}

impl Default for GradientNorm {
    fn default() -> Self {
        Self::every(1)
    }
}

impl ImbalanceProbe for GradientNorm {
    fn observe(&mut self, seen: &Observation<'_>) -> Result<()> {
        if !seen.report.at.step.is_multiple_of(self.every) {
            return Ok(());
        }
        if self.means.is_empty() {
            self.means = seen.modalities.iter().map(|m| (m.clone(), Mean::default())).collect();
        }
        for (m, (_, mean)) in self.means.iter_mut().enumerate() {
            if seen.rows[m].is_missing() {
                continue;
            }
            let norm = norm(seen.params.gradients(m))
                .map_err(|source| Error::torch("take the norm of a gradient", source))?;
            match norm {
                Some(norm) => mean.add(&norm, 1.0)?,
                None => mean.add_zero(1.0),
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let (modalities, means): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.means).into_iter().unzip();
        let norms = Mean::read_all(&means)?;
        Ok(modalities
            .iter()
            .zip(norms)
            .filter_map(|(modality, norm)| Some(Measurement::of("gradient_norm", modality, norm?)))
            .collect())
    }
}

/// √Σ‖g‖² as a device scalar; `None` without gradients.
fn norm(
    gradients: impl Iterator<Item = Tensor>,
) -> std::result::Result<Option<Tensor>, tch::TchError> {
    let norms = gradients.map(|g| g.f_norm()).collect::<std::result::Result<Vec<_>, _>>()?;
    if norms.is_empty() {
        return Ok(None);
    }
    Tensor::f_stack(&norms, 0)?.f_norm().map(Some)
}
