//! Weighted means of device scalars.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::error::{Error, Result};
use crate::number::Numbers;
use crate::{libtorch, transfer};

/// A weighted mean whose sum stays on the device until it is read.
#[derive(Debug, Default)]
pub(crate) struct Mean {
    /// `None` without values.
    sum: Option<Sum>,
    weight: f64,
}

/// A sum where its values are. In host memory a number takes a fraction of the time of a tensor.
#[derive(Debug)]
enum Sum {
    Host(f64),
    Device(Tensor),
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
        self.add_part(value, 1.0, weight)
    }

    /// Adds `part` · `value` with this weight.
    pub(crate) fn add_part(&mut self, value: &Tensor, part: f64, weight: f64) -> Result<()> {
        let factor = part * weight;
        self.sum = Some(match (&self.sum, value.device()) {
            (None, Device::Cpu) => Sum::Host(libtorch::number(value)? * factor),
            (Some(Sum::Host(sum)), Device::Cpu) => {
                Sum::Host(sum + libtorch::number(value)? * factor)
            }
            (sum, _) => Sum::Device(on_device(sum.as_ref(), value, factor)?),
        });
        self.weight += weight;
        Ok(())
    }

    /// Adds 0 with this weight.
    pub(crate) fn add_zero(&mut self, weight: f64) {
        self.weight += weight;
    }

    /// Multiplies the weight of all values so far by `factor`.
    pub(crate) fn fade(&mut self, factor: f64) {
        self.sum = self.sum.take().map(|sum| match sum {
            Sum::Host(sum) => Sum::Host(sum * factor),
            Sum::Device(sum) => Sum::Device(sum * factor),
        });
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
        transfer::record_read(means.len());
        let on_device = means.iter().filter_map(|mean| match &mean.sum {
            Some(Sum::Device(sum)) => Some(sum.shallow_clone()),
            _ => None,
        });
        let mut read = transfer::read_on_host(&on_device.collect::<Vec<_>>())?.into_iter();
        let mut sum = |mean: &Self| match mean.sum {
            None => 0.0,
            Some(Sum::Host(sum)) => sum,
            Some(Sum::Device(_)) => read.next().unwrap_or(f64::NAN),
        };
        Ok(means.into_iter().flat_map(|mean| [sum(mean), mean.weight]).collect())
    }

    /// The mean of this sum with this weight.
    pub(crate) fn from_sum(sum: f64, weight: f64) -> Self {
        Self { sum: Some(Sum::Host(sum)), weight }
    }

    /// The mean as numbers. Synchronises with the device.
    pub(crate) fn state(&self) -> Result<MeanState> {
        let sum = match &self.sum {
            None => None,
            Some(Sum::Host(sum)) => Some(*sum),
            Some(Sum::Device(sum)) => {
                transfer::read_scalars(&[sum.shallow_clone()])?.first().copied()
            }
        };
        Ok(MeanState { sum, weight: self.weight })
    }
}

/// The sum, in the memory of a device, of `sum` and the weighted `value`. A restored sum is in host memory
/// before.
fn on_device(sum: Option<&Sum>, value: &Tensor, weight: f64) -> Result<Tensor> {
    let add = || {
        let kind = transfer::wide_kind(value.device());
        let value = value.f_detach()?.f_to_kind(kind)? * weight;
        match sum {
            None => Ok(value),
            Some(Sum::Host(sum)) => {
                Tensor::from(*sum).f_to_kind(kind)?.f_to_device(value.device())?.f_add(&value)
            }
            Some(Sum::Device(sum)) => sum.f_add(&value.f_to_device(sum.device())?),
        }
    };
    add().map_err(|source| Error::torch("add to a mean", source))
}

impl From<MeanState> for Mean {
    fn from(state: MeanState) -> Self {
        Self { sum: state.sum.map(Sum::Host), weight: state.weight }
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
