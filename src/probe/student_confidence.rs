//! ρ of the student's unimodal logits and its discrepancy ratio.

use super::{ImbalanceProbe, means::Means};
use crate::error::Result;
use crate::step::{Measurement, Observation};

/// ρ of the student's unimodal logits and its ratio to the other modalities.
///
/// - `student_confidence`: mean s^m over the samples of the epoch that have modality m, where s is the
///   trainer's ρ; for classification σ(l)\[y\].
/// - `student_confidence_ratio`: the k-way OGM discrepancy ratio, the mean over j ≠ m of s^m / s^j.
///
/// Modalities without [unimodal logits](crate::Student::unimodal_logits) are omitted. Cost: the unimodal
/// heads once per step, shared with the other probes that use them.
///
/// Source: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR 2022,
/// equation 8, with the mean over the other modalities where there are more than two.
#[derive(Debug)]
pub struct StudentConfidence {
    rho: Means,
}

impl Default for StudentConfidence {
    fn default() -> Self {
        Self { rho: Means::new("student_confidence") }
    }
}

impl ImbalanceProbe for StudentConfidence {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        for m in 0..step.modalities().len() {
            if let Some(logits) = step.unimodal_logits(m)? {
                let rho = step.rho(&logits, &step.targets(m)?)?;
                self.rho.add(step, m, &step.combined.share_of_confidence(m, &rho)?)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        self.rho.take_with_ratios("student_confidence_ratio")
    }

    means_state!(rho);
}
