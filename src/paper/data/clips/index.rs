//! The clips of one split.

use std::path::{Path, PathBuf};

use rand::{Rng, seq::SliceRandom};
use tch::Tensor;

use super::{ClipLayout, OnMissing, Row, SkipReason, Skipped};
use crate::error::{self, Error, Result};

/// One clip: its label and its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    /// Its row in the data set's listings, counted from 0 over all of them in their order. It stays
    /// the same when other clips are missing, and differs between splits.
    pub id: i64,
    /// Its name in the listing.
    pub name: String,
    /// Its class, 0..C.
    pub label: i64,
    /// Its sound file.
    pub audio: PathBuf,
    /// Its frames, in their order.
    pub frames: Vec<PathBuf>,
}

/// The clips of one split, and what was left out of it.
///
/// Making an index opens every sound file and lists every folder of frames, and decodes none: a file
/// that is damaged inside is found when it is loaded, as an error with its path.
#[derive(Debug, Clone)]
pub struct Clips {
    clips: Vec<Clip>,
    classes: i64,
    skipped: Skipped,
}

impl Clips {
    /// Looks for the files of `rows`; each clip needs `frames` frames.
    pub(in crate::paper::data) fn find(
        root: &Path,
        layout: &ClipLayout,
        rows: &[Row],
        classes: &[impl AsRef<str>],
        frames: usize,
        on_missing: OnMissing,
    ) -> Result<Self> {
        let (mut clips, mut skipped) = (Vec::with_capacity(rows.len()), Skipped::default());
        for Row { id, clip, label, listing, .. } in rows {
            let Some(label) = classes.iter().position(|class| class.as_ref() == label) else {
                let known: Vec<_> = classes.iter().map(AsRef::as_ref).take(12).collect();
                let what = format!("label of clip {clip:?}");
                let found = format!("{label:?}");
                let hint = "correct the listing or the classes";
                let expected = format!("one of {known:?}");
                return Err(Error::data(listing, what, expected, found, hint));
            };
            let files = layout
                .audio(root, clip)
                .and_then(|audio| Ok((audio, layout.frames(root, clip, frames)?)));
            match files {
                Ok((audio, frames)) => {
                    let (name, label) = (clip.clone(), label as i64);
                    clips.push(Clip { id: *id, name, label, audio, frames });
                }
                Err((reason, path)) if on_missing == OnMissing::Skip => skipped.add(reason, path),
                Err((reason, path)) => return Err(missing(clip, reason, &path, frames)),
            }
        }
        if skipped.total() > 0 {
            tracing::warn!(folder = %root.display(), listed = rows.len(), "{skipped}");
        }
        if clips.is_empty() {
            let found = format!("none of {} ({skipped})", rows.len());
            let hint = "check the folder and its layout";
            return Err(Error::data(root, "clips", "at least one with its files", found, hint));
        }
        Ok(Self { clips, classes: classes.len() as i64, skipped })
    }

    /// The clips, in the order of the listing.
    pub fn clips(&self) -> &[Clip] {
        &self.clips
    }

    /// What was left out when the index was made. Parts taken from it later keep the whole's count.
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    /// The number of classes C, those without a clip too.
    pub fn classes(&self) -> i64 {
        self.classes
    }

    /// The number of clips.
    pub fn len(&self) -> usize {
        self.clips.len()
    }

    /// Never: an empty index cannot be made.
    pub fn is_empty(&self) -> bool {
        self.clips.is_empty()
    }

    /// The labels `[N]`.
    pub fn targets(&self) -> Tensor {
        Tensor::from_slice(&self.clips.iter().map(|clip| clip.label).collect::<Vec<_>>())
    }

    /// The first `n` clips, or all if there are fewer.
    ///
    /// # Errors
    /// [`Error::Config`] for none.
    pub fn first(mut self, n: usize) -> Result<Self> {
        if n == 0 {
            return Err(error::config("first clips", "at least 1", "0", "ask for more"));
        }
        self.clips.truncate(n);
        Ok(self)
    }

    /// Takes a random share of the clips out: (the rest, the part held out), each in the listing's
    /// order.
    ///
    /// # Errors
    /// [`Error::Config`] if either part would be empty.
    pub fn hold_out(self, share: f64, rng: &mut impl Rng) -> Result<(Self, Self)> {
        let held = (self.len() as f64 * share).round() as usize;
        if held == 0 || held >= self.len() {
            return Err(error::config(
                format!("share of {} clips to hold out", self.len()),
                "a part that leaves clips on both sides",
                format!("{share}"),
                "choose a share between 0 and 1",
            ));
        }
        let mut is_held = vec![false; self.len()];
        is_held[..held].fill(true);
        is_held.shuffle(rng);
        let (mut rest, mut out) = (Vec::new(), Vec::new());
        for (clip, held) in self.clips.into_iter().zip(is_held) {
            if held { out.push(clip) } else { rest.push(clip) }
        }
        let part = |clips| Self { clips, classes: self.classes, skipped: self.skipped.clone() };
        Ok((part(rest), part(out)))
    }
}

fn missing(clip: &str, reason: SkipReason, path: &Path, frames: usize) -> Error {
    let expected = match reason {
        SkipReason::MissingAudio => "a sound file".to_owned(),
        SkipReason::MissingFrames => format!("a folder with at least {frames} frames"),
        SkipReason::Unreadable => "a file or folder that opens and is not empty".to_owned(),
    };
    let hint = "complete the data set, or leave such clips out with `OnMissing::Skip`";
    Error::data(path, format!("clip {clip:?}"), expected, reason.to_string(), hint)
}
