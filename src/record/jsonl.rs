//! One line of JSON an epoch.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{Recorder, files};
use crate::{
    error::{Error, Result},
    number,
    step::EpochReport,
};

/// What is recorded of an epoch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// The trainer's report.
    pub report: EpochReport,
    /// The caller's metrics. In a file, what is not finite is `"NaN"`, `"inf"` or `"-inf"`.
    #[serde(with = "number::named")]
    pub metrics: Vec<(String, f64)>,
    /// Wall time since the row before, or since the recorder was made.
    pub seconds: f64,
}

/// An [`EpochRow`] a line in one JSON Lines file.
#[derive(Debug)]
pub struct JsonLines {
    path: PathBuf,
    file: File,
    since: Instant,
}

impl JsonLines {
    /// Creates (or replaces) the file, and the folders it lies in.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = files::create(&path)?;
        Ok(Self { path, file, since: Instant::now() })
    }

    /// Goes on with the file of a run that is resumed at `epoch`: lines from there on are cut away,
    /// and so is a line that a crash cut. Creates the file where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Data`] for a file that is not one of this recorder's.
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
    /// Line `i`, counted from 0, of the file at `path`.
    pub(super) fn parse(path: &Path, i: usize, line: &str) -> Result<Self> {
        serde_json::from_str(line).map_err(|e| {
            Error::data(
                path,
                format!("line {}", i + 1),
                "an epoch as a JsonLines writes it",
                e.to_string(),
                "name the file of a g2d run, or remove the line",
            )
        })
    }
}
