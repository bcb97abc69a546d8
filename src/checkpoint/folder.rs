//! A folder of snapshots.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{RunParts, Snapshot};
use crate::error::{self, Error, Result};
use crate::file::atomic;
use crate::state::State;

/// The prefix of the folders of snapshots.
const PREFIX: &str = "snapshot-";

/// A folder of snapshots: the newest ones, and the one with the best score.
///
/// Older snapshots are removed after a new one is written. Only one process may write to the folder
/// at a time.
#[derive(Debug)]
pub struct SnapshotFolder {
    folder: PathBuf,
    keep_last: usize,
    best: Best,
    /// The readable snapshots, from the oldest to the newest.
    snapshots: Vec<Snapshot>,
    /// The number of the next snapshot.
    next: u64,
}

/// Which score is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Best {
    /// The highest, for example of an accuracy.
    #[default]
    Highest,
    /// The lowest, for example of a loss.
    Lowest,
}

impl Best {
    /// Returns whether a score is better than another.
    pub(super) fn prefers(self, score: f64, other: f64) -> bool {
        match self {
            Self::Highest => score > other,
            Self::Lowest => score < other,
        }
    }
}

impl SnapshotFolder {
    /// Opens the folder, or creates it. By default it keeps the 2 newest snapshots and the one with
    /// the highest score.
    ///
    /// Removes incomplete snapshots that a crash has left. A snapshot with a damaged manifest is
    /// kept and logged as a `tracing` warning; [`resume`](Self::resume) fails if it is the newest.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be created or read.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let failed = |source| Error::io("open the folder", &folder, source);
        fs::create_dir_all(&folder).map_err(failed)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if atomic::is_leftover(name, PREFIX) {
                remove_leftover(&path)?;
            }
            numbers.extend(number(name));
        }
        numbers.sort_unstable();
        let mut snapshots = Vec::new();
        for &number in &numbers {
            match Snapshot::open(path(&folder, number)) {
                Ok(snapshot) => snapshots.push(snapshot),
                Err(error) => tracing::warn!(%error, "ignores a snapshot that cannot be read"),
            }
        }
        let next = numbers.last().map_or(0, |newest| newest + 1);
        Ok(Self { folder, keep_last: 2, best: Best::default(), snapshots, next })
    }

    /// Sets how many of the newest snapshots are kept, at least 1.
    #[must_use]
    pub fn keep_last(self, count: usize) -> Self {
        Self { keep_last: count.max(1), ..self }
    }

    /// Sets which score is the best. The snapshot with the best score is always kept.
    #[must_use]
    pub fn best_is(self, best: Best) -> Self {
        Self { best, ..self }
    }

    /// Atomically writes a snapshot, then removes those that are neither among the newest nor the
    /// best. Synchronises with the device.
    ///
    /// With a group of ranks all call it, and rank 0 writes; the score is that of rank 0. It returns when the
    /// snapshot is complete.
    ///
    /// `caller` is the state of the caller's loop, such as seeds and running sums. `score` is the
    /// result of a validation at this position, if there was one.
    ///
    /// # Errors
    /// [`Error::Config`] inside an accumulation window, or for a score that is NaN;
    /// [`Error::NonFinite`] for a deferred loss that is not finite; [`Error::Io`] if the snapshot
    /// cannot be written. Existing snapshots are unchanged then, and the run can continue.
    pub fn save(
        &mut self,
        parts: &mut RunParts<'_>,
        caller: &impl Serialize,
        score: Option<f64>,
    ) -> Result<&Snapshot> {
        if score.is_some_and(f64::is_nan) {
            let hint = "pass `None` without a measurement";
            return Err(error::config("score of a snapshot", "a number", "NaN", hint));
        }
        let path = path(&self.folder, self.next);
        let snapshot = Snapshot::write(&path, parts, State::new(caller)?, score)?;
        self.next += 1;
        self.snapshots.push(snapshot);
        self.remove_old(parts.rank() == 0);
        Ok(&self.snapshots[self.snapshots.len() - 1])
    }

    /// Resumes from the newest snapshot: restores `parts` and returns the state of the caller's
    /// loop. Returns `None` without snapshots.
    ///
    /// # Errors
    /// As [`Snapshot::load`]. If the newest snapshot is damaged, older ones are not used instead.
    pub fn resume<T: DeserializeOwned>(&self, parts: &mut RunParts<'_>) -> Result<Option<T>> {
        let Some(newest) = self.next.checked_sub(1) else { return Ok(None) };
        Snapshot::open(path(&self.folder, newest))?.load(parts).map(Some)
    }

    /// The newest readable snapshot.
    pub fn latest(&self) -> Option<&Snapshot> {
        self.snapshots.last()
    }

    /// The snapshot with the best score; the oldest of equal ones.
    pub fn best(&self) -> Option<&Snapshot> {
        let scored = self.snapshots.iter().filter_map(|s| Some((s, s.score()?)));
        let better = |this: f64, best: f64| self.best.prefers(this, best);
        let best = scored.reduce(|best, this| if better(this.1, best.1) { this } else { best });
        best.map(|(snapshot, _)| snapshot)
    }

    /// All readable snapshots, from the oldest to the newest.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// Forgets the snapshots that need not be kept. The first rank removes their folders; a failure is logged
    /// as a `tracing` warning.
    fn remove_old(&mut self, is_first: bool) {
        let best = self.best().map(|snapshot| snapshot.path().to_path_buf());
        let old = self.snapshots.len().saturating_sub(self.keep_last);
        let removed = self.snapshots.extract_if(..old, |s| Some(s.path()) != best.as_deref());
        for snapshot in removed.filter(|_| is_first) {
            if let Err(error) = atomic::remove_folder(snapshot.path()) {
                tracing::warn!(%error, "an old snapshot could not be removed");
            }
        }
    }
}

/// Removes what an interrupted write has left. Other ranks of a group may do so at the same time.
fn remove_leftover(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", path, e)),
        _ => Ok(()),
    }
}

/// The path of a snapshot in `folder`.
fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(name(number))
}

fn name(number: u64) -> String {
    format!("{PREFIX}{number:06}")
}

/// The number of the snapshot called `name`; `None` if it is not the name of a snapshot.
fn number(name: &str) -> Option<u64> {
    let number = name.strip_prefix(PREFIX)?.parse().ok()?;
    (self::name(number) == name).then_some(number)
}
