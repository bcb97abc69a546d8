//! Students and teachers whose outputs are changed.

use g2d::{Batch, Features, Modality, Result, Student, Teacher, TeacherOutput};
use tch::Tensor;

/// A function from features to distilled features.
type Distill = fn(&[Tensor]) -> Vec<Tensor>;

/// Another student with changed outputs. An optional method that is not given behaves as in a
/// student that does not implement it.
pub struct ModifiedStudent<'a, S> {
    pub inner: &'a S,
    encode: fn(usize, Tensor) -> Tensor,
    fuse: fn(Tensor) -> Tensor,
    distilled_features: Option<Distill>,
    unimodal_logits: Option<fn(&[Tensor]) -> Tensor>,
}

impl<'a, S: Student> ModifiedStudent<'a, S> {
    /// The required methods of `inner` and none of the optional ones.
    pub fn without_optional_methods(inner: &'a S) -> Self {
        Self {
            inner,
            encode: |_, features| features,
            fuse: |logits| logits,
            distilled_features: None,
            unimodal_logits: None,
        }
    }

    /// Changes the features of modality m.
    pub fn with_features(inner: &'a S, encode: fn(usize, Tensor) -> Tensor) -> Self {
        Self { encode, ..Self::without_optional_methods(inner) }
    }

    /// Changes the fused logits.
    pub fn with_logits(inner: &'a S, fuse: fn(Tensor) -> Tensor) -> Self {
        Self { fuse, ..Self::without_optional_methods(inner) }
    }

    /// Distils what `distilled` returns for the features.
    pub fn with_distilled_features(inner: &'a S, distilled: Distill) -> Self {
        Self { distilled_features: Some(distilled), ..Self::without_optional_methods(inner) }
    }

    /// Has the unimodal logits that `logits` returns for the features, the same for each modality.
    pub fn with_unimodal_logits(inner: &'a S, logits: fn(&[Tensor]) -> Tensor) -> Self {
        Self { unimodal_logits: Some(logits), ..Self::without_optional_methods(inner) }
    }
}

impl<S: Student> Student for ModifiedStudent<'_, S> {
    fn modalities(&self) -> &[Modality] {
        self.inner.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        Ok((self.encode)(m, self.inner.encode(m, batch, train)?))
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        Ok((self.fuse)(self.inner.fuse(features, train)?))
    }

    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        match self.distilled_features {
            Some(distilled) => Ok(distilled(features)),
            None => Ok(features.iter().map(Tensor::shallow_clone).collect()),
        }
    }

    fn unimodal_logits(&self, _m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        Ok(self.unimodal_logits.map(|logits| logits(features)))
    }
}

/// Another teacher whose outputs are changed.
pub struct ModifiedTeacher<T>(pub T, pub fn(TeacherOutput) -> TeacherOutput);

impl<T: Teacher> Teacher for ModifiedTeacher<T> {
    fn modality(&self) -> &Modality {
        self.0.modality()
    }

    fn output(&self, m: usize, batch: &Batch) -> Result<TeacherOutput> {
        self.0.output(m, batch).map(self.1)
    }
}
