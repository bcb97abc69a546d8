//! A teacher's answers, recorded once.
//!
//! - `answers`: asks a teacher over a loader, and checks what it says.
//! - `memory`: keeps the answers in memory.
//! - `file`: [`OutputFile`], the answers in a safetensors file; `record` writes it, `open` reads it.
//! - `identity`: what a file must belong to; `header`: how the file says so, as `json`.

mod answers;
mod file;
mod header;
mod identity;
mod json;
mod memory;
mod open;
mod record;

use std::{collections::HashMap, sync::Arc};

use tch::{Device, Kind, Tensor};

pub use file::OutputFile;
pub use header::Header;
pub use identity::{Identity, Storage};

pub use crate::file::Digest;

use super::{HostCopy, Teacher, TeacherOutput};
use crate::{
    batch::Batch,
    error::{self, Error, Result},
    modality::Modality,
    transfer,
};

/// What a teacher said of every training sample, looked up by sample id.
///
/// A frozen teacher says the same of the same sample every epoch, so long as the input is the same:
/// record without random augmentation, or a cache for each view. The recorded logits and targets are
/// kept on the host too, so a schedule that reads ρ costs no wait for the device. ρ then rests on the
/// targets as they were recorded.
///
/// [`record`](Self::record) keeps the answers in memory, for one run; a [`OutputFile`] keeps them on
/// disk, for all runs with the same teacher and data.
#[derive(Debug)]
pub struct Cached {
    modality: Modality,
    rows: Arc<HashMap<i64, i64>>,
    features: Tensor,
    /// In which the features are given back.
    kind: Kind,
    /// On the host, as the targets are: ρ is computed there, and rows go to the device from there.
    logits: Tensor,
    targets: Tensor,
    /// Where answers are wanted.
    device: Device,
}

impl Cached {
    /// A second handle on the same answers, for another trainer or thread.
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

    /// These rows of `from`, where it is.
    fn pick(&self, from: &Tensor, rows: &Tensor) -> Result<Tensor> {
        let rows = transfer::send(rows, from.device())?;
        from.f_index_select(0, &rows).map_err(|e| self.failed(e))
    }

    fn failed(&self, source: tch::TchError) -> Error {
        Error::torch(format!("look up teacher {:?}", self.modality), source)
    }
}

impl Teacher for Cached {
    fn modality(&self) -> &Modality {
        &self.modality
    }

    fn output(&self, _m: usize, batch: &Batch) -> Result<TeacherOutput> {
        let rows = Tensor::from_slice(&self.rows_of(batch)?);
        let features = self.pick(&self.features, &rows)?;
        let host = HostCopy {
            logits: self.pick(&self.logits, &rows)?,
            targets: self.pick(&self.targets, &rows)?,
        };
        let features = transfer::send(&features, self.device)?;
        Ok(TeacherOutput {
            features: features.f_to_kind(self.kind).map_err(|e| self.failed(e))?,
            logits: transfer::send(&host.logits, self.device)?,
            host: Some(host),
        })
    }
}
