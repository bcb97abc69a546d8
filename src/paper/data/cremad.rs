//! CREMA-D's layout: emotional speech, 91 actors.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use super::{
    Recipe,
    audio::AudioRecipe,
    clips::{ClipLayout, ClipSplits, Clips, Columns, GroupShares, OnMissing, Row, by_group},
    image::FrameRecipe,
};
use crate::error::{Error, Result};

/// CREMA-D in a folder: `train.csv` and `test.csv` with rows `clip,LABEL`,
/// `AudioWAV/{clip}.wav` (or `AudioMP3/{clip}.mp3`) and `Image-01-FPS/{clip}/*.jpg`.
///
/// A clip's name starts with its actor: `1001_DFA_ANG_XX`. Ids count the rows of train.csv, then on
/// through test.csv.
#[derive(Debug, Clone)]
pub struct Cremad {
    root: PathBuf,
    on_missing: OnMissing,
    layout: ClipLayout,
    frames: usize,
}

impl Cremad {
    /// The labels, in the order of the classes.
    pub const LABELS: [&str; 6] = ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"];

    /// The data set below `folder`; nothing is read yet.
    pub fn new(folder: impl Into<PathBuf>, on_missing: OnMissing) -> Self {
        Self { root: folder.into(), on_missing, layout: ClipLayout::cremad(), frames: 1 }
    }

    /// With files in other folders than the authors'.
    pub fn with_layout(mut self, layout: ClipLayout) -> Self {
        self.layout = layout;
        self
    }

    /// With another number of frames a sample than 1; clips with fewer count as missing.
    pub fn with_frames(mut self, frames: usize) -> Self {
        self.frames = frames;
        self
    }

    /// What the authors do to a clip: audio [1, 257, 188], visual [3, frames, 224, 224].
    pub fn recipe(&self) -> Recipe {
        Recipe { audio: AudioRecipe::cremad(), visual: FrameRecipe::imagenet(self.frames) }
    }

    /// The authors' split, as train.csv and test.csv have it; no validation part.
    ///
    /// All 91 actors are in both files: test accuracy says nothing about voices and faces never met.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Data`] for a listing that is damaged, a
    /// label that is none of [`LABELS`](Self::LABELS), a split without any clip, and, under
    /// [`OnMissing::Error`], a clip without its files.
    pub fn authors_split(&self) -> Result<ClipSplits> {
        let [train, test] = self.listings()?;
        Ok(ClipSplits { train: self.find(&train)?, val: None, test: self.find(&test)? })
    }

    /// A split of both listings' clips in which no actor is in two parts, drawn by `seed`.
    ///
    /// # Errors
    /// As [`authors_split`](Self::authors_split), and [`Error::Config`](crate::error::Error::Config) for
    /// shares that leave a part without actors.
    pub fn speaker_split(&self, shares: GroupShares, seed: u64) -> Result<ClipSplits> {
        let rows = self.listings()?.concat();
        let actor = |row: &Row| Self::actor(&row.clip).map(str::to_owned);
        let [train, val, test] = by_group(rows, actor, shares, seed)?;
        Ok(ClipSplits {
            train: self.find(&train)?,
            val: Some(self.find(&val)?),
            test: self.find(&test)?,
        })
    }

    /// The actor in a clip's name: `1001` of `1001_DFA_ANG_XX`.
    pub fn actor(clip: &str) -> Option<&str> {
        clip.split_once('_').map(|(actor, _)| actor).filter(|actor| !actor.is_empty())
    }

    fn listings(&self) -> Result<[Vec<Row>; 2]> {
        both_listings(&self.root)
    }

    fn find(&self, rows: &[Row]) -> Result<Clips> {
        let Self { root, on_missing, layout, frames } = self;
        Clips::find(root, layout, rows, &Self::LABELS, *frames, *on_missing)
    }
}

/// Rows `clip,label` of train.csv and test.csv, ids counted on.
pub(super) fn both_listings(root: &Path) -> Result<[Vec<Row>; 2]> {
    let train = Columns::CLIP_LABEL.read(&root.join("train.csv"), 0)?;
    let test = Columns::CLIP_LABEL.read(&root.join("test.csv"), train.len() as i64)?;
    let known: HashSet<&str> = train.iter().map(|row| &*row.clip).collect();
    match test.iter().find(|row| known.contains(&*row.clip)) {
        None => Ok([train, test]),
        Some(row) => Err(Error::data(
            &root.join("test.csv"),
            format!("clip {:?}", row.clip),
            "in one listing",
            "in train.csv too",
            "take it out of one of them",
        )),
    }
}
