//! ρ of the teachers and its discrepancy ratio.

use super::{ImbalanceProbe, means::Means};
use crate::error::Result;
use crate::step::{Measurement, Observation};

/// ρ of each teacher and its ratio to the other teachers.
///
/// - `confidence`: mean ρ^m over the samples of the epoch that have modality m.
/// - `confidence_ratio`: the k-way OGM discrepancy ratio, the mean over j ≠ m of ρ^m / ρ^j. It is 1 for
///   balanced modalities and above 1 for a dominant one.
///
/// Modalities without samples and ratios to a ρ of 0 are omitted; without teachers there are no
/// measurements. Cost: none, since the step has computed ρ.
///
/// Source: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR 2022,
/// with the teachers' probabilities instead of the student's; for those see
/// [`StudentConfidence`](super::StudentConfidence).
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
                self.rho.add(step, m, rho)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.rho.take_with_ratios("confidence_ratio")
    }

    means_state!(rho);
}
