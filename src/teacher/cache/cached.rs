//! A teacher whose outputs are looked up.

use std::{collections::HashMap, sync::Arc};

use tch::{Device, Kind, TchError, Tensor};

use super::outputs;
use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::modality::Modality;
use crate::teacher::{HostCopy, Teacher, TeacherOutput};
use crate::transfer;

/// The recorded outputs of a teacher for every training sample, looked up by sample id.
///
/// A frozen teacher returns the same output for the same input, in every epoch: record it without
/// random augmentation, or once for each augmented view. The recorded logits and targets are also in
/// host memory, so that a scheduler reads ρ without synchronising with the device; ρ uses the targets
/// as recorded.
///
/// [`record`](Self::record) keeps the outputs in memory, for one run; an
/// [`OutputFile`](super::OutputFile) keeps them on disk, for all runs with the same teacher and data.
#[derive(Debug)]
pub struct Cached {
    modality: Modality,
    /// The row of each sample id in the tensors below.
    rows: Arc<HashMap<i64, i64>>,
    features: Tensor,
    /// The dtype in which features are returned.
    kind: Kind,
    /// In host memory, as are the targets.
    logits: Tensor,
    targets: Tensor,
    /// The device on which outputs are returned.
    device: Device,
}

impl Cached {
    /// Runs `teacher`, whose modality has index `m` in the batches, once over every batch, without the
    /// samples that lack the modality.
    ///
    /// Features stay on the teacher's device; logits and targets are copied to the host.
    ///
    /// # Errors
    /// [`Error::Cache`] if a batch has no ids, an id repeats, or there is no batch; [`Error::Config`] if
    /// a batch has no modality `m`; [`Error::Shape`] or [`Error::Kind`] if features are not [B, d, …],
    /// logits not [B, C], or either changes from batch to batch; [`Error::NonFinite`] if features or
    /// logits are not finite; [`Error::Config`] if the logits of class labels are probabilities; any error
    /// of a batch or of the teacher.
    pub fn record(
        teacher: &dyn Teacher,
        m: usize,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Self> {
        let (mut features, mut logits, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        let rows = outputs::for_each(teacher, m, batches, |outputs| {
            features.push(outputs.features);
            logits.push(outputs.logits);
            targets.push(outputs.targets);
            Ok(())
        })?;
        let join = || {
            let features = Tensor::f_cat(&features, 0)?;
            let to_host = |parts: &[Tensor]| Tensor::f_cat(parts, 0)?.f_to_device(Device::Cpu);
            Ok([features, to_host(&logits)?, to_host(&targets)?])
        };
        let modality = teacher.modality().clone();
        let tensors = join()
            .map_err(|e| Error::torch(format!("join the cache of teacher {modality:?}"), e))?;
        let (kind, device) = (tensors[0].kind(), tensors[0].device());
        Ok(Self::new(modality, rows, tensors, kind, device))
    }

    /// `tensors` are features, logits and targets, the last two in host memory.
    pub(super) fn new(
        modality: Modality,
        rows: HashMap<i64, i64>,
        [features, logits, targets]: [Tensor; 3],
        kind: Kind,
        device: Device,
    ) -> Self {
        Self { modality, rows: Arc::new(rows), features, kind, logits, targets, device }
    }

    /// Returns a second handle to the same outputs, for another trainer or thread.
    pub fn share(&self) -> Self {
        Self {
            modality: self.modality.clone(),
            rows: self.rows.clone(),
            features: self.features.shallow_clone(),
            kind: self.kind,
            logits: self.logits.shallow_clone(),
            targets: self.targets.shallow_clone(),
            device: self.device,
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there are no samples; never true, since an empty cache cannot be recorded.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows of the batch's samples; an error names unknown samples.
    fn rows_of(&self, batch: &Batch) -> Result<Vec<i64>> {
        let what = format!("teacher {:?}", self.modality);
        let ids = outputs::sample_ids(batch, &what)?;
        let rows: Vec<i64> = ids.iter().filter_map(|id| self.rows.get(id).copied()).collect();
        if rows.len() == ids.len() {
            return Ok(rows);
        }
        let unknown = ids.iter().filter(|id| !self.rows.contains_key(id)).map(i64::to_string);
        let unknown: Vec<String> = unknown.collect();
        let (shown, more) =
            if unknown.len() > 8 { (&unknown[..8], ", …") } else { (&unknown[..], "") };
        Err(error::cache(
            what,
            format!("ids among the {} recorded", self.len()),
            format!("{} unknown: {}{more}", unknown.len(), shown.join(", ")),
            "record the teacher over every training sample",
        ))
    }

    /// Selects `rows` of `from`, on its device.
    fn select(&self, from: &Tensor, rows: &Tensor) -> Result<Tensor> {
        let rows = transfer::send(rows, from.device())?;
        from.f_index_select(0, &rows).map_err(|e| self.failed(e))
    }

    fn failed(&self, source: TchError) -> Error {
        Error::torch(format!("look up teacher {:?}", self.modality), source)
    }
}

impl Teacher for Cached {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, _m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let rows = Tensor::from_slice(&self.rows_of(batch)?);
        let features = self.select(&self.features, &rows)?;
        let host = HostCopy {
            logits: self.select(&self.logits, &rows)?,
            targets: self.select(&self.targets, &rows)?,
        };
        let features = transfer::send(&features, self.device)?;
        Ok(TeacherOutput {
            features: features.f_to_kind(self.kind).map_err(|e| self.failed(e))?,
            logits: transfer::send(&host.logits, self.device)?,
            host: Some(host),
        })
    }
}
