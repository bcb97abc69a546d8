//! A student whose panics are errors.

use tch::Tensor;

use super::{Features, Student};
use crate::batch::Batch;
use crate::error::Result;
use crate::modality::Modality;
use crate::unwind::{caught, describe};

/// A student whose panics are [`Error::Panic`](crate::Error::Panic), which names the part and its inputs.
pub(crate) struct Caught<'a>(pub &'a dyn Student);

impl Caught<'_> {
    fn describe(&self, features: &Features<'_>) -> String {
        describe(self.modalities().iter().map(Modality::name).zip(features.iter()))
    }
}

impl Student for Caught<'_> {
    fn modalities(&self) -> &[Modality] {
        self.0.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let part = || format!("encoder of modality {:?}", self.modalities()[m]);
        caught(part, || describe(batch.inputs()[m].tensors()), || self.0.encode(m, batch, train))
    }

    fn fuse(&self, features: &Features<'_>, train: bool) -> Result<Tensor> {
        let run = || self.0.fuse(features, train);
        caught(|| "fusion".into(), || self.describe(features), run)
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        self.0.feature_shape(m)
    }

    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        let run = || self.0.distilled_features(features);
        caught(|| "distilled features".into(), || self.describe(features), run)
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        let part = || format!("unimodal logits of modality {:?}", self.modalities()[m]);
        caught(part, || self.describe(features), || self.0.unimodal_logits(m, features))
    }
}
