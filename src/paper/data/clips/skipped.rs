//! What an index left out, and why.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

/// Paths kept for each reason; the rest is only counted.
const EXAMPLES: usize = 3;

/// What to do about a listed clip whose files are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// Refuse the data set, naming the first such file.
    #[default]
    Error,
    /// Leave the clip out, count it in [`Skipped`] and warn once.
    Skip,
}

/// Why a clip was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// There is no sound file.
    MissingAudio,
    /// There is no folder of frames, or fewer frames in it than a sample needs.
    MissingFrames,
    /// A file or folder is there and cannot be opened, or is empty.
    Unreadable,
}

/// The clips that were left out for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SkippedFor {
    /// How many.
    pub count: usize,
    /// The paths of the first few.
    pub examples: Vec<PathBuf>,
}

/// The clips that were left out, by reason.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Skipped(BTreeMap<SkipReason, SkippedFor>);

impl Skipped {
    /// How many clips were left out for any reason.
    pub fn total(&self) -> usize {
        self.0.values().map(|found| found.count).sum()
    }

    /// How many clips were left out for `reason`.
    pub fn count(&self, reason: SkipReason) -> usize {
        self.0.get(&reason).map_or(0, |found| found.count)
    }

    /// Every reason that occurred.
    pub fn reasons(&self) -> impl Iterator<Item = (SkipReason, &SkippedFor)> {
        self.0.iter().map(|(reason, found)| (*reason, found))
    }

    pub(super) fn add(&mut self, reason: SkipReason, path: PathBuf) {
        let found = self.0.entry(reason).or_default();
        found.count += 1;
        if found.examples.len() < EXAMPLES {
            found.examples.push(path);
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingAudio => "no sound file",
            Self::MissingFrames => "no or too few frames",
            Self::Unreadable => "unreadable or empty",
        })
    }
}

/// `3 clips left out: 2 no sound file (a.wav, b.wav), 1 unreadable or empty (c.wav)`.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.total();
        write!(f, "{total} clip{} left out", if total == 1 { "" } else { "s" })?;
        for (i, (reason, SkippedFor { count, examples })) in self.0.iter().enumerate() {
            let lead = if i == 0 { ':' } else { ',' };
            write!(f, "{lead} {count} {reason} (")?;
            for (j, path) in examples.iter().enumerate() {
                write!(f, "{}{}", if j == 0 { "" } else { ", " }, path.display())?;
            }
            f.write_str(if *count > examples.len() { ", …)" } else { ")" })?;
        }
        Ok(())
    }
}
