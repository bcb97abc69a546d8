//! A student with the prediction rule of an algorithm.

use tch::Tensor;

use super::Algorithm;
use crate::batch::Batch;
use crate::error::Result;
use crate::modality::Modality;
use crate::student::{Features, Student};
use crate::trainer::{Predictions, evaluate_in};

/// A student whose fused and unimodal logits are those of an algorithm's prediction rule: to evaluate it,
/// and for the held-out measures.
pub struct Ruled<'a> {
    algorithm: &'a dyn Algorithm,
    student: &'a dyn Student,
}

impl<'a> Ruled<'a> {
    /// `student` under the rule of `algorithm`.
    pub fn new(algorithm: &'a dyn Algorithm, student: &'a dyn Student) -> Self {
        Self { algorithm, student }
    }

    /// Runs [`evaluate`](crate::evaluate) in the [`Precision`](crate::trainer::Precision) of the algorithm;
    /// logits are returned in `Float`.
    ///
    /// # Errors
    /// As `evaluate`.
    pub fn evaluate(
        &self,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Predictions> {
        evaluate_in(self.algorithm.precision(), self, batches)
    }
}

impl Student for Ruled<'_> {
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
