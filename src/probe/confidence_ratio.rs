//! ρ and its discrepancy ratio.

use super::{ImbalanceProbe, Measurement, Observation};
use crate::{Modality, Result, mean::Mean};

/// The teachers' mean ρ over the epoch's samples (`confidence`) and the k-way OGM discrepancy ratio
/// (`confidence_ratio`): for modality m the mean over j ≠ m of ρ^m / ρ^j.
///
/// 1 is balance; the modality above 1 is the one that drowns the others. Without teachers it
/// measures nothing, and a ratio to a ρ of 0 is left out. Source: Peng et al., "Balanced Multimodal
/// Learning via On-the-fly Gradient Modulation", CVPR 2022, with the teachers' probabilities in
/// place of the student's.
#[derive(Debug, Default)]
pub struct ConfidenceRatio {
    means: Vec<(Modality, Mean)>,
}

impl ImbalanceProbe for ConfidenceRatio {
    fn observe(&mut self, seen: &Observation<'_>) -> Result<()> {
        let confidence = &seen.report.confidence;
        if self.means.is_empty() {
            self.means = seen
                .modalities
                .iter()
                .take(confidence.len())
                .map(|m| (m.clone(), Mean::default()))
                .collect();
        }
        for ((_, mean), rho) in self.means.iter_mut().zip(confidence) {
            mean.add(rho, seen.report.batch_size as f64)?;
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let (modalities, means): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.means).into_iter().unzip();
        let rho: Vec<f64> = Mean::read_all(&means)?.into_iter().flatten().collect();
        let mut found = Vec::new();
        for (m, modality) in modalities.iter().enumerate() {
            found.push(Measurement::of("confidence", modality, rho[m]));
            let others = rho.iter().enumerate().filter(|(j, _)| *j != m);
            let ratio =
                others.map(|(_, other)| rho[m] / other).sum::<f64>() / (rho.len() - 1) as f64;
            if ratio.is_finite() {
                found.push(Measurement::of("confidence_ratio", modality, ratio));
            }
        }
        Ok(found)
    }
}
