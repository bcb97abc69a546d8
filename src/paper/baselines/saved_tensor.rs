//! A tensor in the state of an algorithm.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::error::{self, Result};

/// A small tensor as numbers, which keep every bit of a float.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SavedTensor {
    shape: Vec<i64>,
    values: Vec<f64>,
}

impl SavedTensor {
    /// Reads `tensor`; synchronises with the device.
    pub(super) fn new(tensor: &Tensor) -> Result<Self> {
        let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_reshape(-1_i64)?;
        Ok(Self { shape: tensor.size(), values: Vec::try_from(flat)? })
    }

    /// The tensor with dtype and device of `like`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for numbers that do not fill the shape.
    pub(super) fn tensor(&self, like: &Tensor) -> Result<Tensor> {
        let fills = self
            .shape
            .iter()
            .try_fold(1_i64, |n, &side| if side < 0 { None } else { n.checked_mul(side) });
        if fills != Some(self.values.len() as i64) {
            let (expected, found) = (format!("{:?}", self.shape), self.values.len());
            return Err(error::foreign_state("tensor of an algorithm", expected, found));
        }
        let tensor = Tensor::f_from_slice(&self.values)?.f_reshape(&self.shape)?;
        Ok(tensor.f_to_kind(like.kind())?.f_to_device(like.device())?)
    }
}
