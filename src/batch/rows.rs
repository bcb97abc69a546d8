//! The rows of a batch that have a modality.

use tch::{Device, Tensor};

use crate::error::{Error, Result};
use crate::transfer;

/// The rows of a batch that have a modality.
///
/// Their number is on the host, so that shapes do not depend on a synchronisation with the device.
#[derive(Debug, Default)]
pub enum Rows {
    /// All rows.
    #[default]
    All,
    /// Some rows: an ascending `Int64` index of shape \[B_m\], 1 ≤ B_m < B, on the batch's device.
    Part(Tensor),
    /// No row: the whole batch lacks the modality.
    Missing,
}

impl Clone for Rows {
    /// Shares the index.
    fn clone(&self) -> Self {
        match self {
            Self::All => Self::All,
            Self::Part(index) => Self::Part(index.shallow_clone()),
            Self::Missing => Self::Missing,
        }
    }
}

impl Rows {
    /// [`All`](Self::All) for each of `k` modalities.
    pub fn all(k: usize) -> Vec<Self> {
        std::iter::repeat_with(Self::default).take(k).collect()
    }

    /// The rows whose flag is set.
    pub(crate) fn from_present(present: &[bool], device: Device) -> Result<Self> {
        let set = (0_i64..).zip(present).filter(|(_, present)| **present);
        let rows: Vec<i64> = set.map(|(row, _)| row).collect();
        match rows.len() {
            0 => Ok(Self::Missing),
            n if n == present.len() => Ok(Self::All),
            _ => Ok(Self::Part(transfer::send(&Tensor::from_slice(&rows), device)?)),
        }
    }

    /// Returns whether no row has the modality.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// Returns the number of these rows in a batch of `batch` rows.
    pub fn count(&self, batch: i64) -> i64 {
        match self {
            Self::All => batch,
            Self::Part(index) => index.numel() as i64,
            Self::Missing => 0,
        }
    }

    /// Selects these rows of `tensor` [B, …] as [B_m, …], connected to its graph.
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

    /// Inverse of [`select`](Self::select): a tensor of `batch` rows with `part` [B_m, …] at these
    /// rows, connected to its graph, and zeros without gradient at the others.
    pub(crate) fn spread(&self, part: Tensor, batch: i64) -> Result<Tensor> {
        let Self::Part(index) = self else { return Ok(part) };
        let rest = part.size().into_iter().skip(1);
        let size: Vec<i64> = std::iter::once(batch).chain(rest).collect();
        Tensor::f_zeros(&size, (part.kind(), part.device()))
            .and_then(|zeros| zeros.f_index_copy(0, index, &part))
            .map_err(|e| Error::torch("put features at the rows that have a modality", e))
    }
}
