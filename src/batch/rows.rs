//! Which rows of a batch have a modality.

use tch::{Device, Tensor};

use crate::{
    error::{Error, Result},
    transfer,
};

/// The rows of a batch that have a modality; known on the host, so that nothing waits for the device.
#[derive(Debug, Default)]
pub enum Rows {
    /// Every one.
    #[default]
    All,
    /// These: an ascending `Int64` index of shape \[B_m\], 1 ≤ B_m < B, on the batch's device.
    Part(Tensor),
    /// None: the modality is missing in the whole batch.
    Missing,
}

impl Rows {
    /// `k` modalities that every row has.
    pub fn all(k: usize) -> Vec<Self> {
        std::iter::repeat_with(Self::default).take(k).collect()
    }

    /// The rows whose flag is set.
    pub(crate) fn from_present(present: &[bool], device: Device) -> Result<Self> {
        let rows: Vec<i64> =
            (0_i64..).zip(present).filter(|(_, here)| **here).map(|(row, _)| row).collect();
        if rows.is_empty() {
            return Ok(Self::Missing);
        }
        if rows.len() == present.len() {
            return Ok(Self::All);
        }
        Ok(Self::Part(transfer::send(&Tensor::from_slice(&rows), device)?))
    }

    /// Has no row the modality?
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// How many of `batch` rows these are.
    pub fn count(&self, batch: i64) -> i64 {
        match self {
            Self::All => batch,
            Self::Part(index) => index.numel() as i64,
            Self::Missing => 0,
        }
    }

    /// These rows of `tensor` [B, …], connected to its graph: [B_m, …].
    ///
    /// # Errors
    /// [`Error::Torch`] if `tensor` has fewer rows than the batch.
    pub fn select(&self, tensor: &Tensor) -> Result<Tensor> {
        let selected = match self {
            Self::All => Ok(tensor.shallow_clone()),
            Self::Part(index) => tensor.f_index_select(0, index),
            Self::Missing => tensor.f_narrow(0, 0, 0),
        };
        selected.map_err(|e| Error::torch("select the rows that have a modality", e))
    }

    /// `part` [B_m, …] at these of `batch` rows and constant zeros at the others: [B, …], connected
    /// to the graph of `part`.
    pub(crate) fn spread(&self, part: Tensor, batch: i64) -> Result<Tensor> {
        let Self::Part(index) = self else { return Ok(part) };
        let rest = part.size().into_iter().skip(1);
        let size: Vec<i64> = std::iter::once(batch).chain(rest).collect();
        Tensor::f_zeros(&size, (part.kind(), part.device()))
            .and_then(|zeros| zeros.f_index_copy(0, index, &part))
            .map_err(|e| Error::torch("put features at the rows that have a modality", e))
    }
}
