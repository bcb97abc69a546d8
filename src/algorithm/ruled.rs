//! A student with the prediction rule of an algorithm.

use tch::Tensor;

use super::Algorithm;
use crate::batch::Batch;
use crate::error::Result;
use crate::modality::Modality;
use crate::student::{Features, Student};

/// A student whose fused and unimodal logits are those of an algorithm's prediction rule, for the held-out
/// measures. [`Algorithm::evaluate`] evaluates such a student.
pub struct Ruled<'a, A: ?Sized = dyn Algorithm + 'a> {
    algorithm: &'a A,
    student: &'a dyn Student,
}

impl<'a, A: Algorithm + ?Sized> Ruled<'a, A> {
    /// `student` under the rule of `algorithm`.
    pub fn new(algorithm: &'a A, student: &'a dyn Student) -> Self {
        Self { algorithm, student }
    }
}

impl<A: Algorithm + ?Sized> Student for Ruled<'_, A> {
    fn modalities(&self) -> &[Modality] {
        self.student.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.student.encode(m, batch, train)
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        self.algorithm.logits(self.student, features)
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.student.feature_shape(m)
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        self.algorithm.unimodal_logits(self.student, m, features)
    }
}
