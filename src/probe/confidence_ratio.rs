//! The teachers' ρ and its discrepancy ratio.

use super::{ImbalanceProbe, means::Means, ratio};
use crate::{
    error::Result,
    state::State,
    step::{Measurement, Observation},
};

/// The teachers' mean ρ over the epoch's samples (`confidence`) and the k-way OGM discrepancy ratio
/// (`confidence_ratio`): for modality m the mean over j ≠ m of ρ^m / ρ^j.
///
/// 1 is balance; the modality above 1 is the one that drowns the others. Without teachers it
/// measures nothing; a ratio to a ρ of 0 is left out, and so is a modality that no sample had.
/// Costs nothing: the step has computed ρ.
///
/// Source: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR 2022,
/// with the teachers' probabilities in place of the student's, which
/// [`StudentConfidence`](super::StudentConfidence) has.
#[derive(Debug)]
pub struct ConfidenceRatio {
    rho: Means,
}

impl Default for ConfidenceRatio {
    fn default() -> Self {
        Self { rho: Means::new("confidence") }
    }
}

impl ImbalanceProbe for ConfidenceRatio {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        for (m, rho) in step.confidence.iter().enumerate() {
            if let Some(rho) = rho {
                self.rho.of(step.modalities(), m).add(rho, step.samples(m) as f64)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let mut found = self.rho.take()?;
        found.extend(ratio::pairwise("confidence_ratio", &found));
        Ok(found)
    }

    fn state(&self) -> Result<State> {
        Means::save(&[&self.rho])
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut [&mut self.rho])
    }
}
