//! A folder of clips.

use std::path::{Path, PathBuf};

use super::{Clip, ClipLayout, Clips, ExcludedClips, ExclusionReason, OnMissing, Row};
use crate::error::{Error, Result};

/// A data set's folder, and how the files of its clips are found.
#[derive(Debug, Clone)]
pub(crate) struct ClipFolder {
    root: PathBuf,
    on_missing: OnMissing,
    layout: ClipLayout,
    frames: usize,
}

impl ClipFolder {
    /// Clips of `frames` frames below `root`.
    pub fn new(root: PathBuf, on_missing: OnMissing, layout: ClipLayout, frames: usize) -> Self {
        Self { root, on_missing, layout, frames }
    }

    pub fn with_layout(self, layout: ClipLayout) -> Self {
        Self { layout, ..self }
    }

    pub fn with_frames(self, frames: usize) -> Self {
        Self { frames, ..self }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Number of frames of a sample.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Finds the files of the clips in `rows`, whose labels are `classes`.
    pub fn find(&self, rows: &[Row], classes: &[&str]) -> Result<Clips> {
        let (mut clips, mut excluded) = (Vec::with_capacity(rows.len()), ExcludedClips::default());
        for row in rows {
            let label = label(row, classes)?;
            let clip = row.clip();
            let files = self
                .layout
                .audio(&self.root, clip)
                .and_then(|audio| Ok((audio, self.layout.frames(&self.root, clip, self.frames)?)));
            match (files, self.on_missing) {
                (Ok((audio, frames)), _) => {
                    clips.push(Clip { id: row.id, name: clip.to_owned(), label, audio, frames });
                }
                (Err((reason, path)), OnMissing::Skip) => excluded.add(reason, path),
                (Err((reason, path)), OnMissing::Error) => {
                    let what = format!("clip {clip:?}");
                    let plural = if self.frames == 1 { "" } else { "s" };
                    let expected = format!("an audio file and {} frame{plural}", self.frames);
                    let hint =
                        format!("{}, or exclude such clips by `OnMissing::Skip`", reason.hint());
                    return Err(Error::data(&path, what, expected, reason, hint));
                }
            }
        }
        if excluded.total() > 0 {
            tracing::warn!(folder = %self.root.display(), listed = rows.len(), "{excluded}");
        }
        if clips.is_empty() {
            let expected = "at least one with its files";
            let found = format!("none of {} ({excluded})", rows.len());
            let hint = excluded.main_reason().map_or("list the clips", ExclusionReason::hint);
            return Err(Error::data(&self.root, "clips", expected, found, hint));
        }
        Ok(Clips::new(clips, classes.len() as i64, excluded))
    }
}

/// The index of the row's label in `classes`.
fn label(row: &Row, classes: &[&str]) -> Result<i64> {
    let label = classes.iter().position(|class| *class == row.label());
    label.map(|label| label as i64).ok_or_else(|| {
        let expected = format!("one of the labels {:?}", &classes[..classes.len().min(12)]);
        row.invalid(expected, format!("{:?}", row.label()), "correct the label")
    })
}
