//! A cache of decoded clips, limited in memory.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::RgbPicture;
use crate::error::Result;

/// Which results of decoding a [`ClipDataset`](super::ClipDataset) keeps in memory.
///
/// Only deterministic results are kept: spectrograms and resized frames without augmentation;
/// resampled audio and whole frames with augmentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipCache {
    /// None: every epoch reads the files.
    #[default]
    Off,
    /// All until the memory is used up; further samples are decoded in every epoch, with one warning.
    ///
    /// A clip of CREMA-D takes about 0.2 MB of audio; a frame of 480 × 360 pixels takes 0.15 MB
    /// without augmentation and 0.5 MB with it.
    Memory {
        /// The limit in bytes.
        bytes: usize,
    },
}

/// The cached results of one data set, shared by a loader's workers over all epochs.
#[derive(Debug)]
pub(super) struct CacheStore {
    limit: usize,
    bytes: AtomicUsize,
    warned: AtomicBool,
    audio: Entries<i64, Vec<f32>>,
    frames: Entries<(i64, usize), RgbPicture>,
}

type Entries<K, T> = Mutex<HashMap<K, Arc<T>>>;

impl CacheStore {
    pub fn new(cache: ClipCache) -> Self {
        let limit = match cache {
            ClipCache::Off => 0,
            ClipCache::Memory { bytes } => bytes,
        };
        Self {
            limit,
            bytes: AtomicUsize::new(0),
            warned: AtomicBool::new(false),
            audio: Mutex::default(),
            frames: Mutex::default(),
        }
    }

    /// Number of bytes in the cache.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// The audio of sample `id`, decoded by `decode` if it is not in the cache.
    pub fn audio(
        &self,
        id: i64,
        decode: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<Arc<Vec<f32>>> {
        self.get_or(&self.audio, id, |values| size_of_val(&values[..]), decode)
    }

    /// Frame `number` of sample `id`, decoded by `decode` if it is not in the cache.
    pub fn frame(
        &self,
        id: i64,
        number: usize,
        decode: impl FnOnce() -> Result<RgbPicture>,
    ) -> Result<Arc<RgbPicture>> {
        self.get_or(&self.frames, (id, number), |frame| frame.pixels().len(), decode)
    }

    /// Two workers that miss the same entry at once both decode it; one of the equal results is kept.
    fn get_or<K: Eq + Hash, T>(
        &self,
        entries: &Entries<K, T>,
        key: K,
        bytes: impl Fn(&T) -> usize,
        decode: impl FnOnce() -> Result<T>,
    ) -> Result<Arc<T>> {
        if self.limit == 0 {
            return decode().map(Arc::new);
        }
        let lock = || entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = lock().get(&key) {
            return Ok(Arc::clone(entry));
        }
        let entry = Arc::new(decode()?);
        let more = bytes(&entry);
        let mut entries = lock();
        if entries.contains_key(&key) {
            return Ok(entry);
        }
        let add = |bytes: usize| bytes.checked_add(more).filter(|&sum| sum <= self.limit);
        if self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok() {
            entries.insert(key, Arc::clone(&entry));
        } else if !self.warned.swap(true, Ordering::Relaxed) {
            let limit = self.limit;
            tracing::warn!(limit, "the cache is full: further samples are decoded in every epoch");
        }
        Ok(entry)
    }
}
