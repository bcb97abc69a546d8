//! Calls of a student outside a trainer.

use g2d::{Batch, Features, Student};
use tch::Tensor;

/// The fused logits of features of `batch`.
pub fn fuse(student: &dyn Student, features: &[Tensor], batch: &Batch, train: bool) -> Tensor {
    student.fuse(&Features::new(features, batch).unwrap(), train).unwrap()
}

/// The unimodal logits of modality `m`, which the student has.
pub fn unimodal_logits(
    student: &dyn Student,
    m: usize,
    features: &[Tensor],
    batch: &Batch,
) -> Tensor {
    student.unimodal_logits(m, &Features::new(features, batch).unwrap()).unwrap().unwrap()
}
