//! A JSON Lines file with a row per epoch.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{Recorder, files};
use crate::error::{Error, Result};
use crate::number;
use crate::step::EpochReport;

/// The record of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// The trainer's report.
    pub report: EpochReport,
    /// The caller's metrics. In a file a value that is not finite is `"NaN"`, `"inf"` or `"-inf"`.
    #[serde(with = "number::named")]
    pub metrics: Vec<(String, f64)>,
    /// Wall time since the previous row, or since the recorder was created.
    pub seconds: f64,
}

/// Records one [`EpochRow`] per line of a JSON Lines file.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
    since: Instant,
}

impl JsonLines {
    /// Creates or truncates the file, and creates its parent directories.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = files::create(&path)?;
        Ok(Self { path, file, since: Instant::now() })
    }

    /// Opens the file of a run that resumes at `epoch`. Removes the lines of that and later epochs, and
    /// a truncated last line. Creates the file if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file that this recorder did not write.
    pub fn resume(path: impl AsRef<Path>, epoch: u64) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = files::reopen(&path, |i, line| {
            Ok(EpochRow::parse(&path, i, line)?.report.epoch < epoch)
        })?;
        Ok(Self { path, file, since: Instant::now() })
    }
}

impl Recorder for JsonLines {
    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        let seconds = self.since.elapsed().as_secs_f64();
        self.since = Instant::now();
        let row = EpochRow { report: report.clone(), metrics: metrics.to_vec(), seconds };
        let mut write = || {
            let mut line = serde_json::to_vec(&row)?;
            line.push(b'\n');
            self.file.write_all(&line)
        };
        write().map_err(|e| Error::io("write the file", &self.path, e))
    }
}

impl EpochRow {
    /// Parses line `i`, counted from 0, of the file at `path`.
    pub(super) fn parse(path: &Path, i: usize, line: &str) -> Result<Self> {
        serde_json::from_str(line).map_err(|e| {
            let what = format!("line {}", i + 1);
            let hint = "choose a file that `JsonLines` wrote, or remove the line";
            Error::data(path, what, "the record of an epoch", e, hint)
        })
    }
}
