//! A batch as each modality sees it.

use crate::{
    batch::{Batch, Rows},
    error::Result,
};

/// A batch, and for every modality the part of it that has the modality.
///
/// Without masks every part is the batch itself: nothing is copied.
#[derive(Debug)]
pub(crate) struct SplitBatch<'a> {
    whole: &'a Batch,
    rows: Vec<Rows>,
    cut: Vec<Option<Batch>>,
}

impl<'a> SplitBatch<'a> {
    /// Cuts a checked batch for `k` modalities.
    pub(crate) fn new(whole: &'a Batch, k: usize) -> Result<Self> {
        let rows = (0..k).map(|m| whole.rows(m)).collect::<Result<Vec<_>>>()?;
        let cut = rows.iter().enumerate().map(|(m, rows)| match rows {
            Rows::Part(_) => whole.part(m, rows).map(Some),
            Rows::All | Rows::Missing => Ok(None),
        });
        Ok(Self { whole, cut: cut.collect::<Result<_>>()?, rows })
    }

    /// The whole batch.
    pub(crate) fn whole(&self) -> &'a Batch {
        self.whole
    }

    /// The rows of every modality.
    pub(crate) fn rows(&self) -> &[Rows] {
        &self.rows
    }

    /// The samples that have modality `m`, or `None` where none has.
    pub(crate) fn get(&self, m: usize) -> Option<&Batch> {
        match &self.rows[m] {
            Rows::Missing => None,
            Rows::All => Some(self.whole),
            Rows::Part(_) => self.cut[m].as_ref(),
        }
    }
}
