//! How a loader works.

use serde::{Deserialize, Serialize};

use crate::{Result, error};

/// How many at a time, by whom, how far ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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

/// What a loader keeps of the samples that it has decoded.
///
/// Only what chance has no part in is kept: spectrograms and resized frames where nothing is
/// augmented, else resampled sound and whole frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// Nothing: every epoch reads the files.
    #[default]
    Off,
    /// Up to this many bytes in memory; samples that no longer fit are decoded each time.
    ///
    /// CREMA-D takes about 0.2 MB of sound a clip, and 0.15 MB a frame without augmentation or 0.5 MB
    /// with it (480 × 360 pixels).
    Memory {
        /// The most that is kept.
        bytes: usize,
    },
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
