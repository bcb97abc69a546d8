//! One tensor of every sample of a batch.

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{self, Error, Result};

/// The tensors of one name, of the samples that have them.
pub(super) struct Column<'a> {
    /// How messages name the tensor.
    pub what: String,
    pub tensors: Vec<Tensor>,
    /// The row in the batch of each tensor.
    pub rows: &'a [usize],
    /// How messages name the sample of each row of the batch.
    pub labels: &'a [String],
}

const STACK_HINT: &str =
    "make tensors of one shape, or pass tensors whose first dimension varies to `Sample::sequence`";

impl Column<'_> {
    /// Stacks tensors of one shape as [B, …], with zeros in the rows of other samples.
    pub fn stacked(&self) -> Result<Tensor> {
        self.check(STACK_HINT, Tensor::size)?;
        let stack = || {
            let stacked = Tensor::f_stack(&self.tensors, 0)?;
            if self.rows.len() == self.labels.len() {
                return Ok(stacked);
            }
            let index: Vec<i64> = self.rows.iter().map(|&row| row as i64).collect();
            self.zeros(&stacked.size()[1..])?.f_index_copy(0, &Tensor::from_slice(&index), &stacked)
        };
        stack().map_err(failed)
    }

    /// Pads tensors [T_i, …] as [B, longest T_i, …], with zeros in the rows of other samples. Returns
    /// the lengths T_i too.
    pub fn padded(&self) -> Result<(Tensor, Vec<i64>)> {
        if let Some(i) = self.tensors.iter().position(|tensor| tensor.dim() == 0) {
            let hint = "pass one row per step";
            return Err(error::wrong_shape(self.of(i), "[T, …]", &[], hint));
        }
        let hint = "make steps of one shape: only the first dimension of a sequence may vary";
        self.check(hint, |tensor| tensor.size()[1..].to_vec())?;
        let lengths: Vec<i64> = self.tensors.iter().map(|tensor| tensor.size()[0]).collect();
        let pad = || {
            let longest = lengths.iter().copied().max().unwrap_or(0);
            let step =
                self.tensors.first().map_or_else(Vec::new, |first| first.size()[1..].to_vec());
            let padded = self.zeros(&[&[longest], &step[..]].concat())?;
            for (sequence, &row) in self.tensors.iter().zip(self.rows) {
                let place = padded.f_select(0, row as i64)?;
                place.f_narrow(0, 0, sequence.size()[0])?.f_copy_(sequence)?;
            }
            Ok(padded)
        };
        Ok((pad().map_err(failed)?, lengths))
    }

    /// The name of tensor `i` in messages.
    pub fn of(&self, i: usize) -> String {
        format!("{} of {}", self.what, self.labels[self.rows[i]])
    }

    /// The words for a value of the first tensor, which the others must have too.
    pub fn as_first(&self, value: impl std::fmt::Debug) -> String {
        format!("{value:?}, as of {}", self.labels[self.rows[0]])
    }

    fn zeros(&self, row: &[i64]) -> std::result::Result<Tensor, TchError> {
        let kind = self.tensors.first().map_or(Kind::Float, Tensor::kind);
        Tensor::f_zeros([&[self.labels.len() as i64], row].concat(), (kind, Device::Cpu))
    }

    /// Checks that all tensors are in host memory, that none has a dimension of 0, and that they agree in
    /// dtype and in this part of their shape.
    fn check(&self, hint: &str, part: impl Fn(&Tensor) -> Vec<i64>) -> Result<()> {
        let Some(first) = self.tensors.first() else { return Ok(()) };
        for (i, tensor) in self.tensors.iter().enumerate() {
            let (size, kind, device) = (tensor.size(), tensor.kind(), tensor.device());
            if device != Device::Cpu {
                let hint = "make samples in host memory: a loader copies its batches to the device";
                return Err(error::device(self.of(i), "Cpu", format!("{device:?}"), hint));
            }
            if size.contains(&0) {
                let expected = "no dimension of 0";
                let hint = "call `Sample::missing` for a modality that a sample lacks";
                return Err(error::wrong_shape(self.of(i), expected, &size, hint));
            }
            if kind != first.kind() {
                let (expected, hint) = (self.as_first(first.kind()), "convert it by `to_kind`");
                return Err(error::wrong_kind(self.of(i), expected, kind, hint));
            }
            if part(tensor) != part(first) {
                let expected = self.as_first(first.size());
                return Err(error::wrong_shape(self.of(i), expected, &size, hint));
            }
        }
        Ok(())
    }
}

fn failed(source: TchError) -> Error {
    Error::torch("make a batch of samples", source)
}
