//! Weighted means of device scalars, read when asked for.

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::{
    error::{Error, Result},
    number::Numbers,
    transfer,
};

/// A weighted mean that stays on the device.
#[derive(Debug, Default)]
pub(crate) struct Mean {
    sum: Option<Tensor>,
    weight: f64,
}

/// A [`Mean`] in numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MeanState {
    #[serde(with = "crate::number")]
    sum: Option<f64>,
    weight: f64,
}

impl Mean {
    /// Counts the scalar `value` `weight` times.
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

    /// Counts 0 `weight` times.
    pub(crate) fn add_zero(&mut self, weight: f64) {
        self.weight += weight;
    }

    /// All means in one host; `None` for one that counted nothing.
    pub(crate) fn read_all<'a>(
        means: impl IntoIterator<Item = &'a Self>,
    ) -> Result<Vec<Option<f64>>> {
        let means: Vec<&Self> = means.into_iter().collect();
        let device = means.iter().filter_map(|m| m.sum.as_ref()).map(Tensor::device);
        let device = device.reduce(|a, b| if a == Device::Cpu { b } else { a });
        let device = device.unwrap_or(Device::Cpu);
        let zero = Tensor::from(0.0).to_device(device);
        // A restored mean that has counted nothing since is still on the host.
        let sums: Vec<Tensor> =
            means.iter().map(|m| m.sum.as_ref().unwrap_or(&zero).to_device(device)).collect();
        let sums = transfer::read_scalars(&sums)?;
        Ok(sums
            .iter()
            .zip(means)
            .map(|(sum, m)| (m.weight > 0.0).then(|| sum / m.weight))
            .collect())
    }

    /// Lets what was counted so far weigh `factor` times as much.
    pub(crate) fn fade(&mut self, factor: f64) {
        self.sum = self.sum.take().map(|sum| sum * factor);
        self.weight *= factor;
    }

    /// Its numbers; waits for the device.
    pub(crate) fn state(&self) -> Result<MeanState> {
        let sum = transfer::read_scalars(self.sum.as_slice())?.first().copied();
        Ok(MeanState { sum, weight: self.weight })
    }
}

impl Numbers for MeanState {
    type Form = Self;

    fn form(&self) -> Self {
        self.clone()
    }

    fn of(form: Self) -> Option<Self> {
        Some(form)
    }
}

impl From<MeanState> for Mean {
    fn from(state: MeanState) -> Self {
        Self { sum: state.sum.map(Tensor::from), weight: state.weight }
    }
}
