//! From indices to a batch, on a worker thread.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::batch::Batch;
use crate::data::{
    Dataset, Sample,
    random::{Purpose, generator},
};
use crate::error::{self, Result};
use crate::unwind::caught;

/// The data set and the seed of its augmentation, which the workers share.
#[derive(Debug)]
pub(super) struct Reader<D> {
    pub dataset: D,
    pub seed: u64,
}

impl<D: Dataset> Reader<D> {
    /// The batch of the samples at `indices`, or `Ok(None)` once `stopped` is set.
    pub fn batch(
        &self,
        indices: &[usize],
        epoch: u64,
        stopped: &AtomicBool,
    ) -> Result<Option<Batch>> {
        let _no_grad = tch::no_grad_guard();
        let (mut samples, mut ids) = (Vec::with_capacity(indices.len()), Vec::new());
        for &index in indices {
            if stopped.load(Ordering::Relaxed) {
                return Ok(None);
            }
            // Without this, the caller would wait forever for the batch of a worker that panics.
            let sample = caught(
                || "`Dataset::sample`".to_owned(),
                || format!("index {index}, epoch {epoch}"),
                || self.sample(index, epoch),
            )?;
            ids.extend(sample.id);
            samples.push(sample);
        }
        let expected = samples.len() as i64;
        let batch = caught(
            || "`Dataset::collate`".to_owned(),
            || format!("samples {ids:?} by id"),
            || self.dataset.collate(samples),
        )?;
        if batch.size() != expected {
            let (what, hint) = ("samples of a batch", "return a row per sample from `collate`");
            return Err(error::shape(what, expected, batch.size(), hint));
        }
        Ok(Some(batch.with_ids(ids)))
    }

    fn sample(&self, index: usize, epoch: u64) -> Result<Sample> {
        let samples = self.dataset.len();
        if index >= samples {
            let expected = format!("below {samples}, the number of samples");
            let hint = "pass indices into the data set, counted from 0";
            return Err(error::config("index of a sample", expected, index, hint));
        }
        let id = self.dataset.id(index);
        let mut rng = generator(Purpose::Sample, self.seed, epoch, id);
        Ok(Sample { id: Some(id), ..self.dataset.sample(index, &mut rng)? })
    }
}
