//! How a loader works.

use serde::{Deserialize, Serialize};

use crate::{
    error::{self, Result},
    paper::data::cache::Cache,
};

/// How many at a time, by whom, how far ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderOptions {
    /// Samples in a batch.
    pub batch_size: usize,
    /// Threads that decode.
    pub workers: usize,
    /// Batches that may be made or waiting before the caller takes them.
    pub ahead: usize,
    /// Seed of the augmentation.
    pub seed: u64,
    /// What is kept from one epoch to the next.
    pub cache: Cache,
}

impl Default for LoaderOptions {
    /// The authors' 16 samples, one worker, four batches ahead, seed 999, no cache.
    fn default() -> Self {
        Self { batch_size: 16, workers: 1, ahead: 4, seed: 999, cache: Cache::Off }
    }
}

impl LoaderOptions {
    pub(super) fn check(&self) -> Result<()> {
        let Self { batch_size, workers, ahead, .. } = *self;
        if batch_size > 0 && workers > 0 && ahead > 0 {
            return Ok(());
        }
        let found = format!("batch_size {batch_size}, workers {workers}, ahead {ahead}");
        Err(error::config("loader", "at least 1 of each", found, "raise what is 0"))
    }
}
