//! A teacher whose outputs are looked up.

use std::sync::Arc;

use tch::{Device, Kind, Tensor};

use super::{column::Column, index::SampleIndex, outputs};
use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::modality::Modality;
use crate::teacher::{HostCopy, Teacher, TeacherOutput};
use crate::{libtorch, transfer};

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
    /// The row of each sample id in what follows.
    rows: Arc<SampleIndex>,
    features: Tensor,
    /// The dtype in which features are returned.
    kind: Kind,
    /// In host memory, as are the targets.
    logits: Column,
    targets: Column,
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
        let mut ids = Vec::new();
        outputs::for_each(teacher, m, batches, |outputs| {
            ids.extend(outputs.ids);
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
        let [features, logits, targets] = join()
            .map_err(|e| Error::torch(format!("join the cache of teacher {modality:?}"), e))?;
        let (kind, device) = (features.kind(), features.device());
        // No id repeats, as `for_each` has checked.
        let rows = SampleIndex::new(ids).unwrap_or_default();
        let columns = [logits, targets].map(Column::Tensor);
        Ok(Self::new(modality, rows, features, columns, kind, device))
    }

    pub(super) fn new(
        modality: Modality,
        rows: SampleIndex,
        features: Tensor,
        [logits, targets]: [Column; 2],
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
            logits: self.logits.share(),
            targets: self.targets.share(),
            device: self.device,
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there are no samples; never true, since an empty cache cannot be recorded.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// The rows of the batch's samples; an error names unknown samples.
    fn rows_of(&self, batch: &Batch) -> Result<Vec<i64>> {
        let what = format!("teacher {:?}", self.modality);
        let ids = outputs::sample_ids(batch, &what)?;
        let rows: Vec<i64> = ids.iter().filter_map(|&id| self.row(id)).collect();
        if rows.len() == ids.len() {
            return Ok(rows);
        }
        let unknown: Vec<i64> = ids.iter().copied().filter(|&id| self.row(id).is_none()).collect();
        Err(unknown_ids(&what, self.len(), &unknown))
    }

    /// The row of a sample id, if it was recorded.
    pub(super) fn row(&self, id: i64) -> Option<i64> {
        self.rows.row(id)
    }

    /// The outputs in these rows.
    pub(super) fn outputs(&self, rows: &[i64]) -> Result<TeacherOutput> {
        let (logits, targets) = (self.logits.select(rows)?, self.targets.select(rows)?);
        Ok(TeacherOutput {
            features: self.features_of(rows)?,
            logits: transfer::send(&logits, self.device)?,
            host: Some(HostCopy { logits, targets }),
        })
    }

    /// An id that both caches have.
    pub(super) fn shared_id(&self, other: &Self) -> Option<i64> {
        self.rows.shared(&other.rows)
    }

    /// Modality, shapes without the rows, dtypes and device of the outputs, as text.
    pub(super) fn form(&self) -> String {
        let Self { modality, features, kind, logits, targets, device, .. } = self;
        let features = &features.size()[1..];
        let [logits, targets] = [logits, targets].map(Column::form);
        format!("{modality:?}: {features:?} {kind:?}, {logits}, {targets} on {device:?}")
    }

    /// The features in these rows, on the device and in the dtype in which they are returned.
    fn features_of(&self, rows: &[i64]) -> Result<Tensor> {
        let failed = |e| Error::torch(format!("look up teacher {:?}", self.modality), e);
        let features = if self.features.device() == Device::Cpu {
            transfer::send(&libtorch::select_rows(&self.features, rows)?, self.device)?
        } else {
            let rows = transfer::send(&Tensor::from_slice(rows), self.features.device())?;
            self.features.f_index_select(0, &rows).map_err(failed)?
        };
        if features.kind() == self.kind {
            return Ok(features);
        }
        features.f_to_kind(self.kind).map_err(failed)
    }
}

impl Teacher for Cached {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, _m: usize, batch: &Batch) -> Result<TeacherOutput> {
        self.outputs(&self.rows_of(batch)?)
    }
}

/// The error of a batch with samples that were not recorded.
pub(super) fn unknown_ids(teacher: &str, recorded: usize, unknown: &[i64]) -> Error {
    let shown: Vec<String> = unknown.iter().take(8).map(i64::to_string).collect();
    let more = if unknown.len() > 8 { ", …" } else { "" };
    error::cache(
        teacher,
        format!("ids among the {recorded} recorded"),
        format!("{} unknown: {}{more}", unknown.len(), shown.join(", ")),
        "record the teacher over every training sample",
    )
}
