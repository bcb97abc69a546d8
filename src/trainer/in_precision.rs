//! Teachers outside a trainer that run in a precision.

use tch::Tensor;

use super::Precision;
use crate::batch::Batch;
use crate::error::Result;
use crate::modality::Modality;
use crate::teacher::{Teacher, TeacherOutput};

/// A teacher whose forward passes run in a [`Precision`], and whose outputs are `Float`: for recording a
/// cache and for [`evaluate_teacher`](super::evaluate_teacher). A trainer does the same for its teachers.
///
/// ```no_run
/// # use g2d::{Batch, Result, teacher::{Cached, FrozenModel}, trainer::{InPrecision, Precision}};
/// # fn record(teacher: FrozenModel, batches: Vec<Result<Batch>>) -> Result<()> {
/// let teacher = InPrecision::new(teacher, Precision::Bf16);
/// let cache = Cached::record(&teacher, 0, batches)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct InPrecision<T> {
    teacher: T,
    precision: Precision,
}

impl<T: Teacher> InPrecision<T> {
    /// `teacher` in `precision`.
    pub fn new(teacher: T, precision: Precision) -> Self {
        Self { teacher, precision }
    }
}

impl<T: Teacher> Teacher for InPrecision<T> {
    fn modality(&self) -> &Modality {
        self.teacher.modality()
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let region = self.precision.region(batch.device())?;
        let output = self.teacher.output(m, batch)?;
        drop(region);
        let widen = |tensor: Tensor| self.precision.widen(tensor);
        let (features, logits) = (widen(output.features)?, widen(output.logits)?);
        Ok(TeacherOutput { features, logits, ..output })
    }
}
