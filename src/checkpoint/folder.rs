//! A folder of snapshots: which are kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{RunParts, Snapshot, write};
use crate::{
    error::{self, Error, Result},
    state::State,
};

/// What the folders of snapshots begin with.
const PREFIX: &str = "snapshot-";

/// A folder of snapshots: the last few, and the best by the caller's score.
///
/// One process writes to it at a time. Older snapshots are removed once a new one is safe.
#[derive(Debug)]
pub struct SnapshotFolder {
    folder: PathBuf,
    last: usize,
    best: Best,
    /// In the order in which they were written.
    known: Vec<Snapshot>,
    next: u64,
}

/// Which score is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Best {
    /// The highest: an accuracy.
    #[default]
    Highest,
    /// The lowest: a loss, an error.
    Lowest,
}

impl SnapshotFolder {
    /// Opens the folder, and creates it where there is none. Keeps the last 2 and the one of the
    /// highest score.
    ///
    /// What a crash left unfinished is removed. A snapshot whose manifest is damaged is left where it
    /// lies and logged as a `tracing` warning; [`resume`](Self::resume) refuses if it is the newest.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let io = |source| Error::io("open the folder", &folder, source);
        fs::create_dir_all(&folder).map_err(io)?;
        let (mut known, mut next) = (Vec::new(), 0);
        for entry in fs::read_dir(&folder).map_err(io)? {
            let path = entry.map_err(io)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with('.') && name.contains(PREFIX) && name.ends_with(".part") {
                fs::remove_dir_all(&path).map_err(|e| Error::io("remove", &path, e))?;
            }
            let Some(number) = number(name) else { continue };
            next = next.max(number + 1);
            match Snapshot::numbered(&path, number) {
                Ok(snapshot) => known.push(snapshot),
                Err(error) => {
                    tracing::warn!(%error, "a snapshot that cannot be read is left alone")
                }
            }
        }
        known.sort_by_key(|snapshot| snapshot.number);
        Ok(Self { folder, last: 2, best: Best::default(), known, next })
    }

    /// How many of the newest are kept; at least 1.
    #[must_use]
    pub fn keep_last(self, count: usize) -> Self {
        Self { last: count.max(1), ..self }
    }

    /// Which score makes a snapshot the best one, which is kept however old it is.
    #[must_use]
    pub fn best_is(self, best: Best) -> Self {
        Self { best, ..self }
    }

    /// Writes a snapshot, then removes those that are neither among the last nor the best.
    ///
    /// `caller` is what the loop itself must remember (seeds, sums, the best score); `score` is what
    /// the run reached here, where that was measured. Waits for the device.
    ///
    /// # Errors
    /// [`Error::Config`] in an open accumulation window, or for a score that is NaN;
    /// [`Error::NonFinite`] for a loss that was not read before; [`Error::Io`] if the disk refuses. The
    /// snapshots that were there are there still, and the run may go on.
    pub fn save(
        &mut self,
        parts: &mut RunParts<'_>,
        caller: &impl Serialize,
        score: Option<f64>,
    ) -> Result<&Snapshot> {
        if score.is_some_and(f64::is_nan) {
            let hint = "leave the score out where nothing was measured";
            return Err(error::config("score of a snapshot", "a number", "NaN", hint));
        }
        let number = self.next;
        let place = self.folder.join(format!("{PREFIX}{number:06}"));
        write::write(&place, parts, State::new(caller)?, score)?;
        self.next += 1;
        self.known.push(Snapshot::numbered(&place, number)?);
        self.tidy();
        Ok(&self.known[self.known.len() - 1])
    }

    /// Goes on from the newest snapshot: puts `parts` back and returns the caller's own state; `None`
    /// where there is no snapshot.
    ///
    /// # Errors
    /// As [`Snapshot::load`]; of the newest snapshot if it is damaged, so that nobody goes on from an
    /// older one without knowing.
    pub fn resume<T: DeserializeOwned>(&self, parts: &mut RunParts<'_>) -> Result<Option<T>> {
        let known = self.latest().map(|snapshot| snapshot.number);
        match self.next.checked_sub(1) {
            None => Ok(None),
            Some(newest) if known == Some(newest) => {
                self.latest().map(|snapshot| snapshot.load(parts)).transpose()
            }
            Some(newest) => {
                let path = self.folder.join(format!("{PREFIX}{newest:06}"));
                Snapshot::numbered(&path, newest)?.load(parts).map(Some)
            }
        }
    }

    /// The newest snapshot that could be read.
    pub fn latest(&self) -> Option<&Snapshot> {
        self.known.last()
    }

    /// The snapshot of the best score; the earlier of equals.
    pub fn best(&self) -> Option<&Snapshot> {
        let scored = self.known.iter().filter_map(|s| Some((s, s.score()?)));
        let better = |a: f64, b: f64| match self.best {
            Best::Highest => a > b,
            Best::Lowest => a < b,
        };
        let best = scored.reduce(|best, this| if better(this.1, best.1) { this } else { best });
        best.map(|(snapshot, _)| snapshot)
    }

    /// All that could be read, in the order in which they were written.
    pub fn snapshots(&self) -> &[Snapshot] {
        &self.known
    }

    /// Removes what need not be kept. A snapshot that cannot be removed is logged, and in nobody's
    /// way.
    fn tidy(&mut self) {
        let best = self.best().map(|snapshot| snapshot.number);
        let old = self.known.len().saturating_sub(self.last);
        let mut place = 0;
        self.known.retain(|snapshot| {
            place += 1;
            let keep = place > old || Some(snapshot.number) == best;
            if !keep && let Err(error) = remove(&snapshot.path) {
                tracing::warn!(%error, "an old snapshot could not be removed");
            }
            keep
        });
    }
}

/// Removes a snapshot so that no half of one is ever seen: under its own name it is whole.
fn remove(path: &Path) -> Result<()> {
    let going = crate::file::atomic::beside(path);
    let removed = fs::rename(path, &going).and_then(|()| fs::remove_dir_all(&going));
    removed.map_err(|e| Error::io("remove", path, e))
}

/// The number of a snapshot's folder.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_prefix(PREFIX)?;
    digits.chars().all(|c| c.is_ascii_digit()).then(|| digits.parse().ok())?
}
