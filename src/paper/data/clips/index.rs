//! The clips of one split.

use std::path::PathBuf;

use rand::{Rng, seq::SliceRandom};

use super::ExcludedClips;
use crate::error::{self, Result};

/// One clip: its label and its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    /// The number of its row over all listings of the data set, from 0. It does not depend on missing
    /// clips and is unique over all splits.
    pub id: i64,
    /// The name in the listing.
    pub name: String,
    /// The class, in 0..C.
    pub label: i64,
    /// The audio file.
    pub audio: PathBuf,
    /// The frames, in temporal order.
    pub frames: Vec<PathBuf>,
}

/// The clips of one split, and those excluded from it.
///
/// The index is built from a few kilobytes at both ends of every audio file and every frame: it finds
/// empty, truncated and blank files, other formats, and Git LFS pointers, but decodes nothing. A file
/// that is corrupted in its middle is an error when it is decoded, which names the file.
#[derive(Debug, Clone)]
pub struct Clips {
    clips: Vec<Clip>,
    classes: i64,
    excluded: ExcludedClips,
}

impl Clips {
    pub(super) fn new(clips: Vec<Clip>, classes: i64, excluded: ExcludedClips) -> Self {
        Self { clips, classes, excluded }
    }

    /// Returns the clips, in the order of the listing.
    pub fn clips(&self) -> &[Clip] {
        &self.clips
    }

    /// Returns the clips excluded when the index was built, also for parts of that index.
    pub fn excluded(&self) -> &ExcludedClips {
        &self.excluded
    }

    /// Returns the number of classes C, including those without clips.
    pub fn classes(&self) -> i64 {
        self.classes
    }

    /// Returns the number of clips.
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Returns `false`, since an index has at least one clip.
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// Splits off a random share of the clips: (the rest, the share), each in the order of the
    /// listing.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if either part would be empty.
    pub fn hold_out(self, share: f64, rng: &mut impl Rng) -> Result<(Self, Self)> {
        let held = (self.len() as f64 * share).round() as usize;
        if held == 0 || held >= self.len() {
            let what = format!("share of {} clips to hold out", self.len());
            let expected = "a share in (0, 1) that leaves clips on both sides";
            return Err(error::out_of_range(what, expected, share));
        }
        let mut is_held = vec![false; self.len()];
        is_held[..held].fill(true);
        is_held.shuffle(rng);
        let (mut rest, mut out) = (Vec::new(), Vec::new());
        for (clip, held) in self.clips.into_iter().zip(is_held) {
            if held { out.push(clip) } else { rest.push(clip) }
        }
        let part = |clips| Self { clips, classes: self.classes, excluded: self.excluded.clone() };
        Ok((part(rest), part(out)))
    }
}
