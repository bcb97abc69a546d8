//! VGGSound: events of 309 classes in videos.

use std::{collections::BTreeSet, path::PathBuf};

use super::{
    audio::AudioTransform,
    clips::{
        ClipFolder, ClipLayout, ClipSplits, LABEL_NAMES, ListingColumn, ListingFormat, OnMissing,
        Row, check_distinct,
    },
    image::FrameTransform,
    transform::ClipTransform,
};
use crate::error::Result;

/// VGGSound in a folder: a listing, `audio/{clip}.wav` (or `.mp3`) and `Image-01-FPS/{clip}/*.jpg`.
///
/// The listing is `vggsound.csv` as its publishers give it (rows `id,start,label,train|test`; the clip
/// is `{id}_{start in six digits}`, such as `--0PQM4-hqg_000030`), with or without a header such as
/// `youtube_id,time,label,split`. Without it, the listing is `train.csv` and `test.csv` with rows
/// `clip,label` or, as in the publishers' repository, `clip.mp4,label`. A clip is listed once.
///
/// The classes are the labels in the listing, sorted, whether or not their clips are available. Ids
/// number the rows.
#[derive(Debug, Clone)]
pub struct VggSound(ClipFolder);

impl VggSound {
    /// Number of classes in the published listing.
    pub const CLASSES: i64 = 309;

    const OWN_LISTING: ListingFormat = ListingFormat {
        columns: &[
            ListingColumn {
                position: 0,
                names: &["youtube id", "ytid", "yt id", "video id", "video", "id"],
            },
            ListingColumn { position: 2, names: LABEL_NAMES },
            ListingColumn {
                position: 1,
                names: &["time", "start", "start seconds", "start time", "timestamp"],
            },
            ListingColumn {
                position: 3,
                names: &["split", "train/test split", "train test split", "subset", "set"],
            },
        ],
        example: "id,start,label,train|test",
    };

    /// The data set in `folder`, with three frames per sample; no file is read yet.
    pub fn new(folder: impl Into<PathBuf>, on_missing: OnMissing) -> Self {
        Self(ClipFolder::new(folder.into(), on_missing, ClipLayout::vggsound(), 3))
    }

    /// Sets the paths of the clips' files.
    pub fn with_layout(self, layout: ClipLayout) -> Self {
        Self(self.0.with_layout(layout))
    }

    /// Sets the number of frames per sample; the frames of a clip with fewer count as missing.
    pub fn with_frames(self, frames: usize) -> Self {
        Self(self.0.with_frames(frames))
    }

    /// Returns the authors' transform, with a deterministic evaluation: audio [1, 129, 626], visual
    /// [3, frames, 224, 224].
    pub fn transform(&self) -> ClipTransform {
        let visual = FrameTransform::imagenet(self.0.frames());
        ClipTransform { audio: AudioTransform::vggsound(), visual }
    }

    /// The split of the listing, without validation clips.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) for a listing that cannot be read;
    /// [`Error::Data`](crate::Error::Data) for a corrupted listing, a clip that is listed twice, a split
    /// without clips, and, under [`OnMissing::Error`], a clip whose files are missing or unreadable.
    pub fn split(&self) -> Result<ClipSplits> {
        let [train, test] = match self.0.root().join("vggsound.csv").exists() {
            true => self.own_listing()?,
            false => ListingFormat::read_train_and_test(self.0.root())?,
        };
        let classes: BTreeSet<&str> = train.iter().chain(&test).map(Row::label).collect();
        let classes: Vec<&str> = classes.into_iter().collect();
        if classes.len() as i64 != Self::CLASSES {
            let (found, expected) = (classes.len(), Self::CLASSES);
            tracing::info!(found, expected, "the listing is not that of the whole VGGSound");
        }
        let find = |rows: &[Row]| self.0.find(rows, &classes);
        Ok(ClipSplits { train: find(&train)?, val: None, test: find(&test)? })
    }

    fn own_listing(&self) -> Result<[Vec<Row>; 2]> {
        let mut rows = Self::OWN_LISTING.read(&self.0.root().join("vggsound.csv"), 0)?;
        for row in &mut rows {
            let (start, split) = (&row.cells[2], &row.cells[3]);
            let part = ["train", "test"].into_iter().find(|part| split.eq_ignore_ascii_case(part));
            // Tools that read the listing as a table write 30 as 30.0.
            let whole = start.strip_suffix(".0").unwrap_or(start).parse::<u32>();
            let (Some(part), Ok(start)) = (part, whole) else {
                let expected = "a start in whole seconds, and train or test";
                let found = format!("{start:?} and {split:?}");
                return Err(row.invalid(expected, found, "correct the line"));
            };
            row.cells[0] = format!("{}_{start:06}", row.clip());
            row.part = part;
        }
        check_distinct(rows.iter())?;
        let (train, test) = rows.into_iter().partition(|row| row.part == "train");
        Ok([train, test])
    }
}
