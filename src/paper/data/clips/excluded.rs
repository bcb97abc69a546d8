//! The clips that an index excludes.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// The number of example paths kept for each reason.
const EXAMPLES: usize = 3;

/// What to do about a listed clip whose files are missing or unreadable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// Return an error that names the first such file.
    #[default]
    Error,
    /// Exclude the clip, count it in [`ExcludedClips`] and log one warning.
    Skip,
}

/// Why a clip was excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionReason {
    /// There is no audio file.
    MissingAudio,
    /// There is no folder of frames, or it has fewer frames than a sample needs.
    MissingFrames,
    /// A file or folder cannot be opened, or a file is empty.
    Unreadable,
    /// A file is a pointer of Git Large File Storage: the file itself was not downloaded.
    LfsPointer,
    /// The audio file has a header and no sound.
    Blank,
    /// A file is truncated, or is neither WAV nor MP3, or neither JPEG nor PNG.
    Damaged,
}

impl ExclusionReason {
    /// What to do about such a clip.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::MissingAudio => "check the folder and the layout of its audio files",
            Self::MissingFrames => "extract the frames of the videos",
            Self::Unreadable => "check the file and its permissions",
            Self::LfsPointer => "fetch the files with `git lfs pull`",
            Self::Blank => "replace the file, or remove the clip from the listing",
            Self::Damaged => "download or convert the file again",
        }
    }
}

/// The clips that were excluded for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Excluded {
    /// Number of clips.
    pub count: usize,
    /// The paths of the first few.
    pub examples: Vec<PathBuf>,
}

/// The excluded clips by reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ExcludedClips(BTreeMap<ExclusionReason, Excluded>);

impl ExcludedClips {
    /// Returns the number of excluded clips.
    pub fn total(&self) -> usize {
        self.0.values().map(|excluded| excluded.count).sum()
    }

    /// Returns the excluded clips of every reason that occurred.
    pub fn by_reason(&self) -> &BTreeMap<ExclusionReason, Excluded> {
        &self.0
    }

    /// The most frequent reason.
    pub(super) fn main_reason(&self) -> Option<ExclusionReason> {
        let most = self.0.iter().max_by_key(|(_, excluded)| excluded.count);
        most.map(|(reason, _)| *reason)
    }

    pub(super) fn add(&mut self, reason: ExclusionReason, path: PathBuf) {
        let excluded = self.0.entry(reason).or_default();
        excluded.count += 1;
        if excluded.examples.len() < EXAMPLES {
            excluded.examples.push(path);
        }
    }
}

impl fmt::Display for ExclusionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingAudio => "no audio file",
            Self::MissingFrames => "no or too few frames",
            Self::Unreadable => "unreadable or empty",
            Self::LfsPointer => "Git LFS pointer instead of the file",
            Self::Blank => "audio without sound",
            Self::Damaged => "truncated or of another format",
        })
    }
}

/// For example `3 clips excluded: 2 no audio file (a.wav, b.wav), 1 unreadable or empty (c.wav)`.
impl fmt::Display for ExcludedClips {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        write!(f, "{total} clip{} excluded", if total == 1 { "" } else { "s" })?;
        for (i, (reason, Excluded { count, examples })) in self.0.iter().enumerate() {
            let separator = if i == 0 { ':' } else { ',' };
            let paths: Vec<_> = examples.iter().map(|path| path.display().to_string()).collect();
            let more = if *count > examples.len() { ", …" } else { "" };
            write!(f, "{separator} {count} {reason} ({}{more})", paths.join(", "))?;
        }
        Ok(())
    }
}
