//! The features of all modalities.

use std::{borrow::Cow, ops::Deref};

use tch::Tensor;

use crate::batch::{Batch, Rows};
use crate::error::{Error, Result};

/// The features of all modalities, in the student's order, with the batch that they were computed from.
///
/// It dereferences to a slice of tensors, f_m [B, d_m, …] for each modality: `Tensor::f_cat(features, 1)`.
/// The features of a sample that lacks a modality are zeros without gradient.
#[derive(Debug)]
pub struct Features<'a> {
    tensors: &'a [Tensor],
    rows: Cow<'a, [Rows]>,
    batch: &'a Batch,
}

impl<'a> Features<'a> {
    /// Features [B, d_m, …] of every modality of `batch`, to call a [`Student`](crate::Student) outside a
    /// trainer. Where a sample lacks a modality, they are zeros.
    ///
    /// # Errors
    /// [`Error::Torch`] if the batch is on a device that does not exist.
    pub fn new(tensors: &'a [Tensor], batch: &'a Batch) -> Result<Self> {
        let rows = (0..tensors.len()).map(|m| batch.rows(m)).collect::<Result<Vec<_>>>()?;
        Ok(Self { tensors, rows: rows.into(), batch })
    }

    /// Features of a batch whose rows with each modality are known.
    pub(crate) fn with_rows(tensors: &'a [Tensor], rows: &'a [Rows], batch: &'a Batch) -> Self {
        Self { tensors, rows: rows.into(), batch }
    }

    /// Other features of the same batch, for a student that passes changed features to another one.
    pub fn replaced<'b>(&'b self, tensors: &'b [Tensor]) -> Features<'b> {
        Features::with_rows(tensors, &self.rows, self.batch)
    }

    /// The rows that have each modality.
    pub fn rows(&self) -> &[Rows] {
        &self.rows
    }

    /// The whole batch. A row of an input is not valid where the sample lacks the modality; use
    /// [`input`](Self::input).
    pub fn batch(&self) -> &'a Batch {
        self.batch
    }

    /// The tensor [B, …] called `name` of the input of modality `m` ([`Batch::tensor`]), such as a padding
    /// mask, with zeros in the rows of samples that lack the modality.
    ///
    /// For a modality that the whole batch lacks the tensor has the tokens of
    /// [`Student::feature_shape`](crate::Student::feature_shape): if the features are [B, T, d, …] and the
    /// tensor is [B, L, …], the result is zeros [B, T, …].
    ///
    /// # Errors
    /// [`Error::Config`] if there is no such tensor.
    pub fn input(&self, m: usize, name: &str) -> Result<Tensor> {
        let tensor = self.batch.tensor(m, name)?;
        match self.rows.get(m) {
            Some(rows @ Rows::Part(_)) => rows.spread(rows.select(tensor)?, self.batch.size()),
            Some(Rows::Missing) => self.absent(m, tensor),
            _ => Ok(tensor.shallow_clone()),
        }
    }

    fn absent(&self, m: usize, tensor: &Tensor) -> Result<Tensor> {
        let (mut size, features) = (tensor.size(), self.tensors[m].size());
        if let (Some(length), [_, tokens, _, ..]) = (size.get_mut(1), features.as_slice()) {
            *length = *tokens;
        }
        let zeros = Tensor::f_zeros(&size, (tensor.kind(), tensor.device()));
        zeros.map_err(|e| Error::torch("make the input of an absent modality", e))
    }
}

impl Deref for Features<'_> {
    type Target = [Tensor];

    fn deref(&self) -> &[Tensor] {
        self.tensors
    }
}
