//! Answers kept in memory.

use std::sync::Arc;

use tch::{Device, Tensor};

use super::{Cached, answers};
use crate::{
    batch::Batch,
    error::{Error, Result},
    teacher::Teacher,
};

impl Cached {
    /// Asks `teacher`, whose modality has index `m` in the batches, about every batch once, but for
    /// samples that lack the modality.
    ///
    /// The features stay on the device that the teacher gave them on; logits and targets are kept on
    /// the host.
    ///
    /// # Errors
    /// [`Error::Cache`] if a batch carries no ids, an id comes twice, or there is no batch;
    /// [`Error::Config`] if a batch has no modality `m`; [`Error::Shape`] or [`Error::Kind`] if
    /// features are not [B, d, …], logits not [B, C], or either changes from batch to batch; any
    /// error of a batch or of the teacher.
    pub fn record(
        teacher: &dyn Teacher,
        m: usize,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Self> {
        let (mut features, mut logits, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        let rows = answers::each(teacher, m, batches, |answers| {
            features.push(answers.features);
            logits.push(answers.logits);
            targets.push(answers.targets);
            Ok(())
        })?;
        let failed =
            |e| Error::torch(format!("join the cache of teacher {:?}", teacher.modality()), e);
        let join = |parts: &[Tensor]| Tensor::f_cat(parts, 0).map_err(failed);
        let to_host = |tensor: &Tensor| tensor.f_to_device(Device::Cpu).map_err(failed);
        let (features, logits, targets) = (join(&features)?, join(&logits)?, join(&targets)?);
        Ok(Self {
            modality: teacher.modality().clone(),
            rows: Arc::new(rows),
            kind: features.kind(),
            device: features.device(),
            logits: to_host(&logits)?,
            targets: to_host(&targets)?,
            features,
        })
    }
}
