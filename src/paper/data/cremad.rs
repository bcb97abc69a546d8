//! CREMA-D: emotional speech of 91 actors.

use std::path::PathBuf;

use super::{
    audio::AudioTransform,
    clips::{
        CLIP_NAMES, ClipFolder, ClipLayout, ClipSplits, Clips, GroupShares, ListingColumn,
        ListingFormat, OnMissing, Row, check_distinct, split_by_group,
    },
    image::FrameTransform,
    transform::ClipTransform,
};
use crate::error::Result;

/// CREMA-D in a folder: `train.csv` and `test.csv` with rows `clip,LABEL`,
/// `AudioWAV/{clip}.wav` (or `AudioMP3/{clip}.mp3`) and `Image-01-FPS/{clip}/*.jpg`.
///
/// The publishers give no split: the two files are the authors' ones. They may have a header, and the
/// names of clips an extension; a clip is listed once. Without either file,
/// [`speaker_split`](Self::speaker_split) reads the publishers' list of all clips,
/// `SentenceFilenames.csv`.
///
/// The name of a clip starts with its actor, and its third part is the label: `1001_DFA_ANG_XX`. Ids
/// number the rows of train.csv and then those of test.csv.
#[derive(Debug, Clone)]
pub struct Cremad(ClipFolder);

impl Cremad {
    /// The labels, in the order of the classes.
    pub const LABELS: [&str; 6] = ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"];

    /// The number of a clip and its name, which includes the label.
    const OWN_LISTING: ListingFormat = ListingFormat {
        columns: &[
            ListingColumn { position: 1, names: CLIP_NAMES },
            ListingColumn { position: 0, names: &["stimulus number"] },
        ],
        example: "number,clip",
    };

    /// The data set in `folder`, with one frame per sample; no file is read yet.
    pub fn new(folder: impl Into<PathBuf>, on_missing: OnMissing) -> Self {
        Self(ClipFolder::new(folder.into(), on_missing, ClipLayout::cremad(), 1))
    }

    /// Sets the paths of the clips' files.
    pub fn with_layout(self, layout: ClipLayout) -> Self {
        Self(self.0.with_layout(layout))
    }

    /// Sets the number of frames per sample; the frames of a clip with fewer count as missing.
    pub fn with_frames(self, frames: usize) -> Self {
        Self(self.0.with_frames(frames))
    }

    /// Returns the authors' transform: audio [1, 257, 188], visual [3, frames, 224, 224].
    pub fn transform(&self) -> ClipTransform {
        let visual = FrameTransform::imagenet(self.0.frames());
        ClipTransform { audio: AudioTransform::cremad(), visual }
    }

    /// The authors' split into train.csv and test.csv, without validation clips.
    ///
    /// All 91 actors are in both files: the test accuracy does not measure generalisation to new
    /// voices and faces.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) for a listing that cannot be read;
    /// [`Error::Data`](crate::Error::Data) for a corrupted listing, a clip that is listed
    /// twice, a label that is not in [`LABELS`](Self::LABELS), a split without clips, and, under
    /// [`OnMissing::Error`], a clip whose files are missing or unreadable.
    pub fn authors_split(&self) -> Result<ClipSplits> {
        let [train, test] = ListingFormat::read_train_and_test(self.0.root())?;
        Ok(ClipSplits { train: self.find(&train)?, val: None, test: self.find(&test)? })
    }

    /// A random split of all clips in which every actor is in one part only.
    ///
    /// # Errors
    /// The errors of [`authors_split`](Self::authors_split), and
    /// [`Error::Config`](crate::Error::Config) for shares that leave a part without actors.
    pub fn speaker_split(&self, shares: GroupShares, seed: u64) -> Result<ClipSplits> {
        let rows = self.all_rows()?;
        let actor = |row: &Row| Self::actor(row.clip()).map(str::to_owned);
        let [train, val, test] = split_by_group(rows, actor, shares, seed)?;
        let (train, val) = (self.find(&train)?, Some(self.find(&val)?));
        Ok(ClipSplits { train, val, test: self.find(&test)? })
    }

    /// Returns the actor in a clip's name: `1001` of `1001_DFA_ANG_XX`.
    pub fn actor(clip: &str) -> Option<&str> {
        clip.split_once('_').map(|(actor, _)| actor).filter(|actor| !actor.is_empty())
    }

    /// The rows of both listings or, if neither exists, those of the publishers' list of clips.
    fn all_rows(&self) -> Result<Vec<Row>> {
        let root = self.0.root();
        let own = root.join("SentenceFilenames.csv");
        if !own.exists() || ["train.csv", "test.csv"].iter().any(|name| root.join(name).exists()) {
            return Ok(ListingFormat::read_train_and_test(root)?.concat());
        }
        let mut rows = Self::OWN_LISTING.read(&own, 0)?;
        for row in &mut rows {
            let Some(label) = row.clip().split('_').nth(2).map(str::to_owned) else {
                let expected = "a name with the label as third part, such as 1001_DFA_ANG_XX";
                return Err(row.invalid(expected, "another name", "correct the name"));
            };
            row.cells[1] = label;
        }
        check_distinct(rows.iter())?;
        Ok(rows)
    }

    fn find(&self, rows: &[Row]) -> Result<Clips> {
        self.0.find(rows, &Self::LABELS)
    }
}
