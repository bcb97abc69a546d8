//! ρ and its discrepancy ratio.

use super::{ImbalanceProbe, Measurement, Observation};
use crate::{Modality, Result, mean::Mean};

/// The teachers' mean ρ over the epoch's samples (`confidence`) and the k-way OGM discrepancy ratio
/// (`confidence_ratio`): for modality m the mean over j ≠ m of ρ^m / ρ^j.
///
/// 1 is balance; the modality above 1 is the one that drowns the others. Without teachers it
/// measures nothing; a ratio to a ρ of 0 is left out, and so is a modality that no sample had.
/// Source: Peng et al., "Balanced Multimodal Learning via On-the-fly Gradient Modulation", CVPR 2022,
/// with the teachers' probabilities in place of the student's.
#[derive(Debug, Default)]
pub struct ConfidenceRatio {
    means: Vec<(Modality, Mean)>,
}

impl ImbalanceProbe for ConfidenceRatio {
    fn observe(&mut self, seen: &Observation<'_>) -> Result<()> {
        if self.means.is_empty() {
            self.means = seen.modalities.iter().map(|m| (m.clone(), Mean::default())).collect();
        }
        let found = seen.report.confidence.iter().zip(&seen.report.present);
        for ((_, mean), (rho, &samples)) in self.means.iter_mut().zip(found) {
            if let Some(rho) = rho {
                mean.add(rho, samples as f64)?;
            }
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let (modalities, means): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.means).into_iter().unzip();
        let rho = Mean::read_all(&means)?;
        let known: Vec<(Modality, f64)> =
            modalities.into_iter().zip(rho).filter_map(|(m, rho)| Some((m, rho?))).collect();
        let mut found = Vec::new();
        for (modality, rho) in &known {
            found.push(Measurement::of("confidence", modality, *rho));
            let others = known.iter().filter(|(other, _)| other != modality);
            let ratio = others.map(|(_, other)| rho / other).sum::<f64>()
                / known.len().saturating_sub(1) as f64;
            if ratio.is_finite() {
                found.push(Measurement::of("confidence_ratio", modality, ratio));
            }
        }
        Ok(found)
    }
}
