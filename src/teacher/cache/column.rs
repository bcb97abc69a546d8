//! A recorded part of the outputs, with one row per sample.

use tch::{Kind, Tensor};

use crate::error::{Error, Result};
use crate::libtorch;

/// Rows in host memory, or in a mapped file.
#[derive(Debug)]
pub(super) enum Column {
    /// A tensor [N, …].
    Tensor(Tensor),
    /// The bytes [N, row length] of a tensor [N, `row`…], whose place in the file need not be a multiple of
    /// the size of an element.
    Mapped { bytes: Tensor, kind: Kind, row: Vec<i64> },
}

impl Column {
    /// A copy of the given rows.
    pub(super) fn select(&self, rows: &[i64]) -> Result<Tensor> {
        match self {
            Self::Tensor(all) => libtorch::select_rows(all, rows),
            Self::Mapped { bytes, kind, row } => {
                let selected = libtorch::select_rows(bytes, rows)?;
                let size = std::iter::once(rows.len() as i64).chain(row.iter().copied());
                let size: Vec<i64> = size.collect();
                let typed = selected.f_view_dtype(*kind).and_then(|typed| typed.f_view(&size[..]));
                typed.map_err(|e| Error::torch("select rows of a mapped file", e))
            }
        }
    }

    /// Shape without the rows, and dtype, as text.
    pub(super) fn form(&self) -> String {
        let (row, kind) = match self {
            Self::Tensor(all) => (all.size().split_off(1), all.kind()),
            Self::Mapped { kind, row, .. } => (row.clone(), *kind),
        };
        format!("{row:?} {kind:?}")
    }

    /// A second handle to the same rows.
    pub(super) fn share(&self) -> Self {
        match self {
            Self::Tensor(all) => Self::Tensor(all.shallow_clone()),
            Self::Mapped { bytes, kind, row } => {
                Self::Mapped { bytes: bytes.shallow_clone(), kind: *kind, row: row.clone() }
            }
        }
    }
}
