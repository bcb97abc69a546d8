//! What the fusion sees: an encoder's features where a sample has the modality, zeros elsewhere.

use tch::Tensor;

use crate::{Batch, Error, Modality, Result, Student, error, parts::Parts};

/// Features [B, d_m, …] of every modality: `encode` is asked about the samples that have it, and not
/// at all where none has.
pub(super) fn features(
    student: &dyn Student,
    modalities: &[Modality],
    parts: &Parts<'_>,
    encode: impl Fn(usize, &Batch) -> Result<Tensor>,
) -> Result<Vec<Tensor>> {
    let rows = parts.whole().size();
    let found = (0..modalities.len())
        .map(|m| {
            let part = parts.get(m).map(|part| encode(m, part)).transpose()?;
            part.map(|part| parts.rows()[m].spread(part, rows)).transpose()
        })
        .collect::<Result<Vec<_>>>()?;
    let alike = found.iter().flatten().next().map(Tensor::shallow_clone);
    let each = found.into_iter().enumerate().map(|(m, own)| match (own, &alike) {
        (Some(own), _) => Ok(own),
        (None, Some(alike)) => zeros(student, &modalities[m], m, rows, alike),
        (None, None) => Err(error::config(
            "batch",
            format!("samples that have one of {modalities:?}"),
            "none",
            "leave out samples that have no modality",
        )),
    });
    each.collect()
}

/// The features of a modality that the whole batch lacks, in the kind and on the device of `alike`.
fn zeros(
    student: &dyn Student,
    modality: &Modality,
    m: usize,
    rows: i64,
    alike: &Tensor,
) -> Result<Tensor> {
    let Some(shape) = student.feature_shape(m) else {
        return Err(error::config(
            format!("batch without modality {modality:?}"),
            "a student that knows the shape of its features",
            "`Student::feature_shape` returns None",
            "implement it, or put a sample that has the modality into every batch",
        ));
    };
    let size: Vec<i64> = std::iter::once(rows).chain(shape).collect();
    Tensor::f_zeros(&size, (alike.kind(), alike.device()))
        .map_err(|e| Error::torch(format!("make empty features of modality {modality:?}"), e))
}
