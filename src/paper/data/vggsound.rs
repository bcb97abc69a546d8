//! VGGSound's layout: events in videos, 309 classes.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    Recipe,
    audio::AudioRecipe,
    clips::{ClipLayout, ClipSplits, Clips, Columns, OnMissing, Row},
    cremad::both_listings,
    image::FrameRecipe,
};
use crate::error::{Error, Result};

/// VGGSound in a folder: a listing, `audio/{clip}.wav` (or `.mp3`) and `Image-01-FPS/{clip}/*.jpg`.
///
/// The listing is the data set's own `vggsound.csv` (rows `id,start,label,train|test`, where a clip is
/// called `{id}_{start in six digits}`, as in `--0PQM4-hqg_000030`), or else `train.csv` and `test.csv`
/// with rows `clip,label`. The classes are the labels that the listing names, sorted; they do not
/// depend on which clips are there. Ids count the rows.
#[derive(Debug, Clone)]
pub struct VggSound {
    root: PathBuf,
    on_missing: OnMissing,
    layout: ClipLayout,
    frames: usize,
}

impl VggSound {
    /// Number of classes in the published listing.
    pub const CLASSES: i64 = 309;

    const OWN: Columns = Columns { count: 4, label: 2, example: "id,start,label,train|test" };

    /// The data set below `folder`; nothing is read yet.
    pub fn new(folder: impl Into<PathBuf>, on_missing: OnMissing) -> Self {
        Self { root: folder.into(), on_missing, layout: ClipLayout::vggsound(), frames: 3 }
    }

    /// With files in other folders.
    pub fn with_layout(mut self, layout: ClipLayout) -> Self {
        self.layout = layout;
        self
    }

    /// With another number of frames a sample than 3; clips with fewer count as missing.
    pub fn with_frames(mut self, frames: usize) -> Self {
        self.frames = frames;
        self
    }

    /// What the authors do to a clip, with a deterministic test: audio [1, 129, 626], visual
    /// [3, frames, 224, 224].
    pub fn recipe(&self) -> Recipe {
        Recipe { audio: AudioRecipe::vggsound(), visual: FrameRecipe::imagenet(self.frames) }
    }

    /// The listing's split; no validation part.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Data`] for a listing that is damaged, a
    /// split without any clip, and, under [`OnMissing::Error`], a clip without its files.
    pub fn split(&self) -> Result<ClipSplits> {
        let [train, test] = match self.root.join("vggsound.csv").exists() {
            true => self.own_listing()?,
            false => both_listings(&self.root)?,
        };
        let names: BTreeSet<&str> = train.iter().chain(&test).map(|row| &*row.label).collect();
        let names: Vec<&str> = names.into_iter().collect();
        if names.len() as i64 != Self::CLASSES {
            let (found, expected) = (names.len(), Self::CLASSES);
            tracing::info!(found, expected, "the listing is not the whole of VGGSound");
        }
        let Self { root, on_missing, layout, frames } = self;
        let find = |rows: &[Row]| Clips::find(root, layout, rows, &names, *frames, *on_missing);
        Ok(ClipSplits { train: find(&train)?, val: None, test: find(&test)? })
    }

    fn own_listing(&self) -> Result<[Vec<Row>; 2]> {
        let path = self.root.join("vggsound.csv");
        let mut parts = [Vec::new(), Vec::new()];
        for mut row in Self::OWN.read(&path, 0)? {
            let [start, split] = &row.rest[..] else { continue };
            let place = ["train", "test"].iter().position(|name| name == split);
            let (Some(place), Ok(start)) = (place, start.parse::<u32>()) else {
                let found = format!("{start:?} and {split:?}");
                let what = format!("clip {:?}", row.clip);
                let expected = "a start in whole seconds, and train or test";
                return Err(Error::data(&path, what, expected, found, "correct the line"));
            };
            row.clip = format!("{}_{start:06}", row.clip);
            parts[place].push(row);
        }
        Ok(parts)
    }
}
