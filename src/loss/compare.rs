//! What the terms of a classification and of a regression are made of.

use tch::Tensor;

use super::TaskInput;
use crate::error::{self, Result};
use crate::modality::Modality;

/// The comparisons of a task.
pub(super) trait Compare {
    /// L_S of logits [B, C] and targets.
    fn task(&self, input: &TaskInput<'_>) -> Result<Tensor>;

    /// The divergence of a student's logits [B, C] from a teacher's at a temperature.
    fn divergence(&self, teacher: &Tensor, student: &Tensor, temperature: f64) -> Result<Tensor>;
}

/// Refuses tensors of different shapes, devices or dtypes, which libtorch would broadcast or promote
/// without an error.
pub(super) fn check_match(
    what: &str,
    modality: &Modality,
    student: &Tensor,
    teacher: &Tensor,
) -> Result<()> {
    let what = || format!("{what} of student and teacher {modality:?}");
    if student.size() != teacher.size() {
        let hint = if student.dim() == teacher.dim() {
            "pass a FeatureProjection to the trainer if widths differ; class counts must be equal"
        } else {
            "pool or flatten the student's features in `Student::distilled_features`"
        };
        let expected = format!("the teacher's {:?}", teacher.size());
        let found = format!("the student's {:?}", student.size());
        return Err(error::shape(what(), expected, found, hint));
    }
    let (device, kind) = (student.device(), student.kind());
    if device != teacher.device() {
        let hint = "move the teacher to the student's device";
        return Err(error::wrong_device(what(), device, "student", teacher.device(), hint));
    }
    if kind != teacher.kind() {
        let hint = "convert the teacher's output or its parameters";
        let expected = format!("{kind:?}, the student's");
        return Err(error::wrong_kind(what(), expected, teacher.kind(), hint));
    }
    Ok(())
}
