//! The student's own confidence in each modality.

use super::{ImbalanceProbe, means::Means, ratio};
use crate::{
    error::Result,
    state::State,
    step::{Measurement, Observation},
};

/// ρ of the student's unimodal logits, a mean over the epoch's samples (`student_confidence`), and its
/// k-way OGM discrepancy ratio (`student_confidence_ratio`): for modality m the mean over j ≠ m of
/// s^m / s^j. ρ is the trainer's own: σ(l)\[y\] for classes.
///
/// Of a student without [`unimodal_logits`](crate::student::Student::unimodal_logits) it measures nothing.
/// Costs the student's heads once a step, shared with the other probes that read them; no wait.
///
/// Source: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR 2022,
/// equation 8, the mean over the other modalities where there are more than two.
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
                self.rho.of(step.modalities(), m).add(&rho, step.samples(m) as f64)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let mut found = self.rho.take()?;
        found.extend(ratio::pairwise("student_confidence_ratio", &found));
        Ok(found)
    }

    fn state(&self) -> Result<State> {
        Means::save(&[&self.rho])
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        Means::restore(state, &mut [&mut self.rho])
    }
}
