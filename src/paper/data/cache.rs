//! Decoded parts of clips in memory, up to a limit.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::{audio::SteadyAudio, image::RgbPicture};
use crate::error::Result;

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
    /// Up to this many bytes in memory; what no longer fits is decoded each time, with one warning.
    ///
    /// CREMA-D takes about 0.2 MB of sound a clip, and 0.15 MB a frame without augmentation or 0.5 MB
    /// with it (480 × 360 pixels).
    Memory {
        /// The most that is kept.
        bytes: usize,
    },
}

/// The cache of one loader, shared by its workers over all epochs.
#[derive(Debug)]
pub(super) struct Store {
    limit: usize,
    bytes: AtomicUsize,
    told: AtomicBool,
    sounds: Shelf<i64, SteadyAudio>,
    frames: Shelf<(i64, usize), RgbPicture>,
}

type Shelf<K, T> = Mutex<HashMap<K, Arc<T>>>;

/// How much memory a part takes.
pub(super) trait Bytes {
    fn bytes(&self) -> usize;
}

impl Store {
    pub fn new(cache: Cache) -> Self {
        let limit = match cache {
            Cache::Off => 0,
            Cache::Memory { bytes } => bytes,
        };
        let (bytes, told) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { limit, bytes, told, sounds: Mutex::default(), frames: Mutex::default() }
    }

    /// Bytes kept now.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The sound of sample `id`, or what `make` makes.
    pub fn sound(
        &self,
        id: i64,
        make: impl FnOnce() -> Result<SteadyAudio>,
    ) -> Result<Arc<SteadyAudio>> {
        self.get_or(&self.sounds, id, make)
    }

    /// Frame `number` of sample `id`, or what `make` makes.
    pub fn frame(
        &self,
        id: i64,
        number: usize,
        make: impl FnOnce() -> Result<RgbPicture>,
    ) -> Result<Arc<RgbPicture>> {
        self.get_or(&self.frames, (id, number), make)
    }

    /// Two workers that miss the same part at once both make it; one of the two equal parts is kept.
    fn get_or<K: Eq + std::hash::Hash, T: Bytes>(
        &self,
        shelf: &Shelf<K, T>,
        key: K,
        make: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        if self.limit == 0 {
            return Ok(Arc::new(make()?));
        }
        let lock = || shelf.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = lock().get(&key) {
            return Ok(Arc::clone(part));
        }
        let part = Arc::new(make()?);
        let more = part.bytes();
        let mut kept = lock();
        if kept.contains_key(&key) {
            return Ok(part);
        }
        let room = |bytes: usize| bytes.checked_add(more).filter(|&sum| sum <= self.limit);
        let taken = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room);
        if taken.is_ok() {
            kept.insert(key, Arc::clone(&part));
        } else if !self.told.swap(true, Ordering::Relaxed) {
            let limit = self.limit;
            tracing::warn!(limit, "the cache is full: what is not in it is decoded each time");
        }
        Ok(part)
    }
}
