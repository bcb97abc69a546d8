//! A batch split by modality.

use crate::batch::{Batch, Rows};
use crate::error::Result;

/// A batch, and for every modality the samples that have it.
///
/// A modality that all samples have shares the batch itself: nothing is copied.
#[derive(Debug)]
pub(crate) struct SplitBatch<'a> {
    whole: &'a Batch,
    rows: Vec<Rows>,
    /// The samples that have a modality; `None` where all or none have it.
    parts: Vec<Option<Batch>>,
}

impl<'a> SplitBatch<'a> {
    /// Splits a checked batch of `k` modalities.
    pub(crate) fn new(whole: &'a Batch, k: usize) -> Result<Self> {
        let rows = (0..k).map(|m| whole.rows(m)).collect::<Result<Vec<_>>>()?;
        let parts = rows.iter().enumerate().map(|(m, rows)| match rows {
            Rows::Part(_) => whole.select(m, rows).map(Some),
            Rows::All | Rows::Missing => Ok(None),
        });
        Ok(Self { whole, parts: parts.collect::<Result<_>>()?, rows })
    }

    /// The whole batch.
    pub(crate) fn whole(&self) -> &'a Batch {
        self.whole
    }

    /// The rows that have each modality.
    pub(crate) fn rows(&self) -> &[Rows] {
        &self.rows
    }

    /// The samples that have modality `m`; `None` if none has it.
    pub(crate) fn get(&self, m: usize) -> Option<&Batch> {
        match &self.rows[m] {
            Rows::Missing => None,
            Rows::All => Some(self.whole),
            Rows::Part(_) => self.parts[m].as_ref(),
        }
    }
}
