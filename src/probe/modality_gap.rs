//! Distance between the modalities' features.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use super::{ImbalanceProbe, vectors::TchResult};
use crate::error::{Error, Result};
use crate::modality::Modality;
use crate::state::State;
use crate::step::{Measurement, Observation};
use crate::transfer;

/// `modality_gap`: ‖c^m − c^j‖ in [0, 2], the mean over the other modalities j of the same feature width.
/// The centroid c^m is the mean of x / ‖x‖ over the samples of the epoch that have m, where x are the
/// student's features.
///
/// Modalities whose width no other modality has are omitted; the gap of features that are not finite is
/// NaN. Cost: one pass over the features per step.
///
/// Source: Liang et al., "Mind the Gap", NeurIPS 2022, section 2.
#[derive(Debug, Default)]
pub struct ModalityGap {
    each: Vec<(Modality, Option<Sum>)>,
}

/// The sum of the normalised features [d] of `samples` samples, on their device.
#[derive(Debug)]
struct Sum {
    directions: Tensor,
    samples: i64,
}

/// A [`Sum`] as numbers.
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
            let directions = sum_of_directions(&features).map_err(failed)?;
            let samples = step.samples(m);
            *sum = Some(match sum.take() {
                None => Sum { directions, samples },
                Some(sum) => sum.add(&directions, samples).map_err(failed)?,
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
            let comparable =
                centroids.iter().filter(|(j, other)| j != modality && other.len() == own.len());
            let gaps: Vec<f64> = comparable.map(|(_, other)| distance(own, other)).collect();
            let gap = gaps.iter().sum::<f64>() / gaps.len() as f64;
            if !gaps.is_empty() {
                found.push(Measurement::new("modality_gap", modality, gap));
            }
        }
        Ok(found)
    }

    fn combine(
        &mut self,
        modalities: &[Modality],
        sum: &dyn Fn(&[f64]) -> Result<Vec<f64>>,
    ) -> Result<()> {
        let own = |m: &Modality| self.each.iter().find(|(name, _)| name == m)?.1.as_ref();
        // A rank may have no sample of a modality, and so does not have the width of its features.
        let width = |m| own(m).map_or([0.0, 0.0], |sum| [sum.directions.numel() as f64, 1.0]);
        let widths = sum(&modalities.iter().flat_map(width).collect::<Vec<_>>())?;
        let widths = widths.chunks(2).map(|w| if w[1] > 0.0 { (w[0] / w[1]) as usize } else { 0 });
        let widths: Vec<usize> = widths.collect();
        let mut values = Vec::new();
        for (m, &width) in modalities.iter().zip(&widths) {
            match own(m) {
                Some(sum) => {
                    values.push(sum.samples as f64);
                    values.extend(sum.read()?);
                }
                None => values.extend(vec![0.0; 1 + width]),
            }
        }
        let all = sum(&values)?;
        let mut rest = all.as_slice();
        self.each.clear();
        for (m, &width) in modalities.iter().zip(&widths) {
            let (own, others) = rest.split_at(1 + width);
            rest = others;
            let (samples, directions) = (own[0] as i64, Tensor::from_slice(&own[1..]));
            self.each.push((m.clone(), (samples > 0).then_some(Sum { directions, samples })));
        }
        Ok(())
    }

    fn state(&self) -> Result<State> {
        let each =
            self.each.iter().map(|(m, sum)| Ok((m, sum.as_ref().map(Sum::state).transpose()?)));
        State::new(&each.collect::<Result<Vec<_>>>()?)
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        let each: Vec<(Modality, Option<SumState>)> = state.read("ModalityGap")?;
        self.each = each.into_iter().map(|(m, sum)| (m, sum.map(Sum::from_state))).collect();
        Ok(())
    }
}

impl Sum {
    fn add(self, directions: &Tensor, samples: i64) -> TchResult<Self> {
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

    fn state(&self) -> Result<SumState> {
        Ok(SumState { directions: self.read()?, samples: self.samples })
    }

    fn from_state(state: SumState) -> Self {
        Self { directions: Tensor::from_slice(&state.directions), samples: state.samples }
    }
}

/// Σ x / ‖x‖ over the rows x of [n, …]; a row of zeros adds nothing.
fn sum_of_directions(features: &Tensor) -> TchResult<Tensor> {
    let x = features.f_flatten(1, -1)?.f_to_kind(transfer::wide_kind(features.device()))?;
    let lengths = x.f_norm_scalaropt_dim(2.0, [1_i64].as_slice(), true)?;
    let directions = x.f_div(&lengths.clamp_min(f64::from(f32::MIN_POSITIVE)))?;
    directions.f_sum_dim_intlist([0_i64].as_slice(), false, None::<Kind>)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

fn failed(source: TchError) -> Error {
    Error::torch("average normalised features", source)
}
