//! Features for the fusion: the encoder's where a sample has the modality, zeros elsewhere.

use tch::Tensor;

use crate::batch::{Batch, SplitBatch};
use crate::error::{self, Error, Result};
use crate::modality::Modality;
use crate::student::Student;

/// Features [B, d_m, …] of every modality. `encode` receives the samples that have the modality, and is
/// not called where there are none.
pub(super) fn features(
    student: &dyn Student,
    parts: &SplitBatch<'_>,
    mut encode: impl FnMut(usize, &Batch) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let (modalities, rows) = (student.modalities(), parts.whole().size());
    let empty = (0..modalities.len())
        .map(|m| parts.get(m).is_none().then(|| shape(student, &modalities[m], m)).transpose())
        .collect::<Result<Vec<_>>>()?;
    let encoded = (0..modalities.len())
        .map(|m| {
            let part = parts.get(m).map(|part| encode(m, part)).transpose()?;
            part.map(|part| parts.rows()[m].spread(part, rows)).transpose()
        })
        .collect::<Result<Vec<_>>>()?;
    let like = encoded.iter().flatten().next().map(|t| (t.kind(), t.device()));
    let each = encoded.into_iter().zip(empty).map(|(own, empty)| match (own, empty, like) {
        (Some(own), _, _) => Ok(own),
        (None, Some(shape), Some(like)) => {
            let size: Vec<i64> = std::iter::once(rows).chain(shape).collect();
            Tensor::f_zeros(&size, like).map_err(|e| Error::torch("make empty features", e))
        }
        (None, ..) => {
            let expected = format!("samples that have one of {modalities:?}");
            Err(error::config("batch", expected, "none", "leave out samples that have no modality"))
        }
    });
    each.collect()
}

/// The shape of one sample's features of a modality that the whole batch lacks.
fn shape(student: &dyn Student, modality: &Modality, m: usize) -> Result<Vec<i64>> {
    let what = format!("batch without modality {modality:?}");
    match student.feature_shape(m) {
        Some(shape) if !shape.is_empty() && shape.iter().all(|&length| length > 0) => Ok(shape),
        Some(shape) => {
            let found = format!("`Student::feature_shape` returns {shape:?}");
            let expected = "a student with a feature shape [d, …] without a dimension of 0";
            Err(error::config(what, expected, found, "return the shape of one sample's features"))
        }
        None => Err(error::config(
            what,
            "a student with a feature shape",
            "`Student::feature_shape` returns None",
            "implement it, or put a sample that has the modality into every batch",
        )),
    }
}
