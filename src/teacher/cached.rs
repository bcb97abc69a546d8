//! A teacher's answers, recorded once.

use std::collections::HashMap;

use tch::{Device, Tensor};

use super::{HostView, Teacher, TeacherOutput};
use crate::{Batch, Error, Modality, Result, error};

/// What a teacher said of every training sample, kept in memory and looked up by sample id.
///
/// A frozen teacher says the same of the same sample every epoch, so long as the input is the same:
/// record without random augmentation, or not at all. The recorded logits and targets are kept on
/// the host too, so a schedule that reads ρ costs no wait for the device. ρ then rests on the
/// targets as they were recorded.
#[derive(Debug)]
pub struct CachedTeacher {
    modality: Modality,
    rows: HashMap<i64, i64>,
    features: Tensor,
    logits: Tensor,
    host_logits: Tensor,
    host_targets: Tensor,
}

impl CachedTeacher {
    /// Asks `teacher`, whose modality has index `m` in the batches, about every batch once, but for
    /// samples that lack the modality.
    ///
    /// The answers stay on the device that the teacher gave them on.
    ///
    /// # Errors
    /// [`Error::Cache`] if a batch carries no ids, an id comes twice, or there is no batch; any
    /// error of a batch or of the teacher.
    pub fn record(
        teacher: &dyn Teacher,
        m: usize,
        batches: impl IntoIterator<Item = Result<Batch>>,
    ) -> Result<Self> {
        let modality = teacher.modality().clone();
        let what = format!("teacher {modality:?}");
        let mut rows = HashMap::new();
        let (mut features, mut logits, mut targets) = (Vec::new(), Vec::new(), Vec::new());
        for batch in batches {
            let batch = batch?;
            let Some(batch) = batch.having(m)? else { continue };
            let Some(ids) = batch.ids() else {
                return Err(error::cache(
                    what,
                    "batches with sample ids",
                    "a batch without",
                    "add them with `Batch::with_ids`",
                ));
            };
            let output = teacher.output(m, &batch)?;
            let parts = [
                ("features", &output.features),
                ("logits", &output.logits),
                ("targets", batch.targets()),
            ];
            let rows_right = |part: &Tensor| part.size().first() == Some(&(ids.len() as i64));
            if let Some((part, tensor)) = parts.into_iter().find(|(_, part)| !rows_right(part)) {
                return Err(error::shape(
                    format!("{part} in the cache of {what}"),
                    format!("[{}, …], one row an id", ids.len()),
                    format!("{:?}", tensor.size()),
                    "every sample of the batch needs its id, its target and the teacher's answer",
                ));
            }
            for &id in ids {
                if rows.insert(id, rows.len() as i64).is_some() {
                    return Err(error::cache(
                        what,
                        "every sample once",
                        format!("id {id} twice"),
                        "record one pass over the samples, each with an id of its own",
                    ));
                }
            }
            features.push(output.features.detach());
            logits.push(output.logits.detach());
            targets.push(batch.targets().detach());
        }
        if rows.is_empty() {
            return Err(error::cache(
                what,
                "at least one batch with samples that have its modality",
                "none",
                "pass the training set",
            ));
        }
        let joined = |parts: &[Tensor]| {
            Tensor::f_cat(parts, 0)
                .map_err(|e| Error::torch(format!("join the cache of {what}"), e))
        };
        let (features, logits, targets) = (joined(&features)?, joined(&logits)?, joined(&targets)?);
        Ok(Self {
            modality,
            rows,
            host_logits: logits.to_device(Device::Cpu),
            host_targets: targets.to_device(Device::Cpu),
            features,
            logits,
        })
    }

    /// A second handle on the same answers, for another trainer or thread.
    pub fn share(&self) -> Self {
        Self {
            modality: self.modality.clone(),
            rows: self.rows.clone(),
            features: self.features.shallow_clone(),
            logits: self.logits.shallow_clone(),
            host_logits: self.host_logits.shallow_clone(),
            host_targets: self.host_targets.shallow_clone(),
        }
    }

    /// How many samples it knows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Never: an empty cache cannot be recorded.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Where the samples stand, or which of them are unknown.
    fn rows_of(&self, batch: &Batch) -> Result<Vec<i64>> {
        let what = format!("teacher {:?}", self.modality);
        let Some(ids) = batch.ids() else {
            return Err(error::cache(
                what,
                "a batch with sample ids",
                "none",
                "add them with `Batch::with_ids`",
            ));
        };
        let unknown: Vec<i64> =
            ids.iter().copied().filter(|id| !self.rows.contains_key(id)).collect();
        if !unknown.is_empty() {
            let shown: Vec<_> = unknown.iter().take(8).map(i64::to_string).collect();
            let more = if unknown.len() > shown.len() { ", …" } else { "" };
            return Err(error::cache(
                what,
                format!("ids among the {} recorded", self.rows.len()),
                format!("{} unknown: {}{more}", unknown.len(), shown.join(", ")),
                "record the teacher over every sample that is trained on",
            ));
        }
        Ok(ids.iter().map(|id| self.rows[id]).collect())
    }
}

impl Teacher for CachedTeacher {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, _m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let rows = Tensor::from_slice(&self.rows_of(batch)?);
        let pick = |from: &Tensor| {
            from.f_index_select(0, &rows.f_to_device(from.device())?)
                .map_err(|e| Error::torch(format!("look up teacher {:?}", self.modality), e))
        };
        Ok(TeacherOutput {
            features: pick(&self.features)?,
            logits: pick(&self.logits)?,
            host: Some(HostView {
                logits: pick(&self.host_logits)?,
                targets: pick(&self.host_targets)?,
            }),
        })
    }
}
