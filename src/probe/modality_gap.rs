//! How far apart the modalities' features lie.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use super::ImbalanceProbe;
use crate::{
    error::{Error, Result},
    modality::Modality,
    state::State,
    step::{Measurement, Observation},
    transfer,
};

/// ‖c^m − c^j‖, averaged over the other modalities j whose features are as wide (`modality_gap`), in
/// [0, 2]: c^m is the mean over the epoch's samples that have m of x / ‖x‖, x the student's features.
///
/// Nothing is said of a modality that no other is as wide as. Costs one pass over the features a
/// step, no wait.
///
/// Source: Liang et al., "Mind the Gap", NeurIPS 2022, section 2.
#[derive(Debug, Default)]
pub struct ModalityGap {
    each: Vec<(Modality, Option<Sum>)>,
}

/// A sum of normalised features [d], on the device, over `samples`.
#[derive(Debug)]
struct Sum {
    directions: Tensor,
    samples: i64,
}

/// The same in numbers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SumState {
    directions: Vec<f64>,
    samples: i64,
}

impl ImbalanceProbe for ModalityGap {
    fn observe(&mut self, step: &Observation<'_>) -> Result<()> {
        if self.each.is_empty() {
            self.each = step.modalities().iter().map(|m| (m.clone(), None)).collect();
        }
        for (m, (_, sum)) in self.each.iter_mut().enumerate() {
            let Some(features) = step.features(m)? else { continue };
            let (own, samples) = (directions(&features).map_err(failed)?, step.samples(m));
            *sum = Some(match sum.take() {
                None => Sum { directions: own, samples },
                Some(sum) => sum.and(&own, samples).map_err(failed)?,
            });
        }
        Ok(())
    }

    fn end_epoch(&mut self) -> Result<Vec<Measurement>> {
        let each = std::mem::take(&mut self.each);
        let mut centroids = Vec::new();
        for (modality, sum) in &each {
            if let Some(sum) = sum {
                let values = sum.read()?.into_iter().map(|v| v / sum.samples as f64);
                centroids.push((modality, values.collect::<Vec<_>>()));
            }
        }
        let mut found = Vec::new();
        for (modality, own) in &centroids {
            let alike =
                centroids.iter().filter(|(j, other)| j != modality && other.len() == own.len());
            let gaps: Vec<f64> = alike.map(|(_, other)| distance(own, other)).collect();
            let gap = gaps.iter().sum::<f64>() / gaps.len() as f64;
            if gap.is_finite() {
                found.push(Measurement::new("modality_gap", modality, gap));
            }
        }
        Ok(found)
    }

    fn state(&self) -> Result<State> {
        let numbers = |sum: &Sum| -> Result<SumState> {
            Ok(SumState { directions: sum.read()?, samples: sum.samples })
        };
        let each = self.each.iter().map(|(m, sum)| Ok((m, sum.as_ref().map(numbers).transpose()?)));
        State::new(&each.collect::<Result<Vec<_>>>()?)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let each: Vec<(Modality, Option<SumState>)> = state.read("ModalityGap")?;
        let sum = |sum: SumState| Sum {
            directions: Tensor::from_slice(&sum.directions),
            samples: sum.samples,
        };
        self.each = each.into_iter().map(|(m, own)| (m, own.map(sum))).collect();
        Ok(())
    }
}

impl Sum {
    fn and(self, directions: &Tensor, samples: i64) -> std::result::Result<Self, TchError> {
        let sum = self.directions.f_to_device(directions.device())?.f_add(directions)?;
        Ok(Self { directions: sum, samples: self.samples + samples })
    }

    fn read(&self) -> Result<Vec<f64>> {
        let read = || {
            let host = self.directions.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?;
            Vec::<f64>::try_from(host)
        };
        read().map_err(failed)
    }
}

/// Σ x / ‖x‖ over the rows of [n, …]; a row of zeros adds nothing.
fn directions(features: &Tensor) -> std::result::Result<Tensor, TchError> {
    let x = features.f_flatten(1, -1)?.f_to_kind(transfer::wide_kind(features.device()))?;
    let lengths = x.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), true)?;
    let smallest = f64::from(f32::MIN_POSITIVE);
    x.f_div(&lengths.clamp_min(smallest))?.f_sum_dim_intlist(
        [0_i64].as_slice(),
        false,
        None::<Kind>,
    )
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn failed(source: TchError) -> Error {
    Error::torch("average normalised features", source)
}
