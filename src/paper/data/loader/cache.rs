//! Decoded parts of clips in memory, up to a limit.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Cache;
use crate::{
    Result,
    paper::data::recipe::{Keep, Steady},
};

/// The cache of one loader, shared by its workers over all epochs.
#[derive(Debug)]
pub(super) struct Store {
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    full: bool,
    parts: HashMap<(i64, usize), Steady>,
}

impl Store {
    pub fn new(cache: Cache) -> Self {
        let limit = match cache {
            Cache::Off => 0,
            Cache::Memory { bytes } => bytes,
        };
        Self { limit, kept: Mutex::default() }
    }

    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keep for Store {
    /// Two workers that miss the same part at once both make it; one of the two equal parts is kept.
    fn get_or(&self, key: (i64, usize), make: &mut dyn FnMut() -> Result<Steady>) -> Result<Steady> {
        if self.limit == 0 {
            return make();
        }
        if let Some(part) = self.lock().parts.get(&key) {
            return Ok(part.clone());
        }
        let part = make()?;
        let mut kept = self.lock();
        let bytes = kept.bytes + part.bytes();
        if bytes <= self.limit {
            if kept.parts.insert(key, part.clone()).is_none() {
                kept.bytes = bytes;
            }
        } else if !kept.full {
            kept.full = true;
            let (limit, parts) = (self.limit, kept.parts.len());
            tracing::warn!(limit, parts, "the cache is full: further samples are decoded each time");
        }
        Ok(part)
    }
}
