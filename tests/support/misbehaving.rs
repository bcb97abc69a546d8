//! Students and teachers bent on the way out, and a scheduler that always says the same.

use g2d::{
    Batch, Modality, Result, SmpScheduler, Student, Teacher, TeacherOutput,
    schedule::{Candidates, Plan, Progress},
};
use tch::Tensor;

use super::Tiny;

/// A student whose features or logits are bent on the way out.
pub struct Bent<'a> {
    pub inner: &'a Tiny,
    pub encode: fn(usize, Tensor) -> Tensor,
    pub fuse: fn(Tensor) -> Tensor,
}

impl<'a> Bent<'a> {
    pub fn encode(inner: &'a Tiny, encode: fn(usize, Tensor) -> Tensor) -> Self {
        Self { inner, encode, fuse: |logits| logits }
    }

    pub fn fuse(inner: &'a Tiny, fuse: fn(Tensor) -> Tensor) -> Self {
        Self { inner, encode: |_, features| features, fuse }
    }
}

impl Student for Bent<'_> {
    fn modalities(&self) -> &[Modality] {
        self.inner.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        Ok((self.encode)(m, self.inner.encode(m, batch, train)?))
    }

    fn fuse(&self, features: &[Tensor], train: bool) -> Result<Tensor> {
        Ok((self.fuse)(self.inner.fuse(features, train)?))
    }
}

/// A scheduler that always says the same κ.
pub struct Kappa(pub Vec<f64>);

impl SmpScheduler for Kappa {
    fn bind(&mut self, _modalities: &[Modality]) -> Result<()> {
        Ok(())
    }

    fn needs_confidence(&self) -> bool {
        false
    }

    fn plan(&mut self, _at: Progress, _candidates: &Candidates) -> Result<Plan> {
        Plan::new(self.0.clone())
    }
}

/// A teacher whose answer is bent on the way out.
pub struct BentTeacher<T>(pub T, pub fn(TeacherOutput) -> TeacherOutput);

impl<T: Teacher> Teacher for BentTeacher<T> {
    fn modality(&self) -> &Modality {
        self.0.modality()
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        self.0.output(m, batch).map(self.1)
    }
}
