//! Options of a loader.

use serde::{Deserialize, Serialize};

use crate::{
    error::{self, Result},
    paper::data::cache::ClipCache,
};

/// Options of a [`ClipLoader`](super::ClipLoader).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderOptions {
    /// Number of samples in a batch.
    pub batch_size: usize,
    /// Number of threads that decode.
    pub workers: usize,
    /// Number of batches prefetched at most.
    pub ahead: usize,
    /// Seed of the augmentation.
    pub seed: u64,
    /// The cache of decoded clips.
    pub cache: ClipCache,
}

impl Default for LoaderOptions {
    /// The authors' batch size 16, one worker, four batches ahead, seed 999, no cache.
    fn default() -> Self {
        Self { batch_size: 16, workers: 1, ahead: 4, seed: 999, cache: ClipCache::Off }
    }
}

impl LoaderOptions {
    pub(super) fn check(&self) -> Result<()> {
        let Self { batch_size, workers, ahead, .. } = *self;
        if batch_size > 0 && workers > 0 && ahead > 0 {
            return Ok(());
        }
        let found = format_args!("batch_size {batch_size}, workers {workers}, ahead {ahead}");
        Err(error::out_of_range("loader options", "at least 1 of each", found))
    }
}
