//! Weighted means of device scalars.

use serde::{Deserialize, Serialize};
use tch::{Device, TchError, Tensor};

use crate::error::{Error, Result};
use crate::number::Numbers;
use crate::transfer;

/// A weighted mean whose sum stays on the device until it is read.
#[derive(Debug, Default)]
pub(crate) struct Mean {
    sum: Option<Tensor>,
    weight: f64,
}

/// A [`Mean`] as numbers, for a checkpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanState {
    #[serde(with = "crate::number")]
    sum: Option<f64>,
    weight: f64,
}

impl Mean {
    /// Adds the scalar `value` with this weight.
    pub(crate) fn add(&mut self, value: &Tensor, weight: f64) -> Result<()> {
        let add = || {
            let value = value.f_detach()?.f_to_kind(transfer::wide_kind(value.device()))? * weight;
            match &self.sum {
                Some(sum) => sum.f_to_device(value.device())?.f_add(&value),
                None => Ok(value),
            }
        };
        self.sum = Some(add().map_err(|source| Error::torch("add to a mean", source))?);
        self.weight += weight;
        Ok(())
    }

    /// Adds 0 with this weight.
    pub(crate) fn add_zero(&mut self, weight: f64) {
        self.weight += weight;
    }

    /// Multiplies the weight of all values so far by `factor`.
    pub(crate) fn fade(&mut self, factor: f64) {
        self.sum = self.sum.take().map(|sum| sum * factor);
        self.weight *= factor;
    }

    /// Reads means in one transfer; `None` for a mean of no values. Synchronises with the device.
    pub(crate) fn read_all<'a>(
        means: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Vec<Option<f64>>> {
        let sums = Self::sums(means)?;
        let mean = |sum: &[f64]| (sum[1] > 0.0).then(|| sum[0] / sum[1]);
        Ok(sums.chunks(2).map(mean).collect())
    }

    /// Sum and weight of each mean, one after the other, in one transfer. Synchronises with the device.
    pub(crate) fn sums<'a>(means: impl IntoIterator<Item = &'a Self>) -> Result<Vec<f64>> {
        let means: Vec<&Self> = means.into_iter().collect();
        let devices = || means.iter().filter_map(|mean| mean.sum.as_ref()).map(Tensor::device);
        // A restored mean without new values is on the host, the others are on the model's device.
        let device = devices().find(|device| *device != Device::Cpu).unwrap_or(Device::Cpu);
        let zero = Tensor::from(0.0);
        let sum = |mean: &&Self| mean.sum.as_ref().unwrap_or(&zero).f_to_device(device);
        let sums = means.iter().map(sum).collect::<std::result::Result<Vec<_>, TchError>>();
        let sums = sums.map_err(|source| Error::torch("read means", source))?;
        let sums = transfer::read_scalars(&sums)?.into_iter().zip(means);
        Ok(sums.flat_map(|(sum, mean)| [sum, mean.weight]).collect())
    }

    /// The mean of this sum with this weight.
    pub(crate) fn from_sum(sum: f64, weight: f64) -> Self {
        Self { sum: Some(Tensor::from(sum)), weight }
    }

    /// The mean as numbers. Synchronises with the device.
    pub(crate) fn state(&self) -> Result<MeanState> {
        let sum = transfer::read_scalars(self.sum.as_slice())?.first().copied();
        Ok(MeanState { sum, weight: self.weight })
    }
}

impl From<MeanState> for Mean {
    fn from(state: MeanState) -> Self {
        Self { sum: state.sum.map(Tensor::from), weight: state.weight }
    }
}

impl Numbers for MeanState {
    type Form = Self;

    fn to_form(&self) -> Self {
        self.clone()
    }

    fn from_form(form: Self) -> Option<Self> {
        Some(form)
    }
}
