//! JSON Lines files with a row per epoch, and a row per recorded step.

use std::{
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    time::Instant,
};

use serde::Serialize;

use super::{EpochRow, Recorder, StepRow, files};
use crate::error::{Error, Result};
use crate::schedule::Progress;
use crate::step::EpochReport;

/// Records one [`EpochRow`] per line of a JSON Lines file, and one [`StepRow`] per line of another.
#[derive(Debug)]
pub struct JsonLines {
    epochs: Lines,
    steps: Option<Lines>,
    /// The position from which a run is resumed.
    resumed: Option<Progress>,
    since: Instant,
}

impl JsonLines {
    /// Creates or truncates the file of epochs, and creates its parent directories.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let epochs = Lines { file: Some(files::create(&path)?), path };
        Ok(Self { epochs, steps: None, resumed: None, since: Instant::now() })
    }

    /// Opens the file of a run that resumes at `at`, such as
    /// [`G2dTrainer::progress`](crate::G2dTrainer::progress). Removes the lines of that and later epochs,
    /// and a truncated last line. Creates the file if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file that this recorder did not write.
    pub fn resume(path: impl AsRef<Path>, at: Progress) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = files::reopen(&path, |i, line| {
            Ok(EpochRow::parse(&path, i, line)?.report.epoch < at.epoch)
        })?;
        let epochs = Lines { file: Some(file), path };
        Ok(Self { epochs, steps: None, resumed: Some(at), since: Instant::now() })
    }

    /// Records steps in the file at `path`, which is created with the first row. A resumed recorder removes
    /// the lines of later steps, another one removes the file. [`Recorders::step_interval`] sets which
    /// steps are recorded.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`resume`](Self::resume).
    ///
    /// [`Recorders::step_interval`]: super::Recorders::step_interval
    pub fn steps(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let file = match self.resumed {
            Some(at) if path.exists() => Some(files::reopen(&path, |i, line| {
                Ok(StepRow::parse(&path, i, line)?.is_before(at.total_steps))
            })?),
            Some(_) => None,
            None => {
                files::remove(&path)?;
                None
            }
        };
        self.steps = Some(Lines { path, file });
        Ok(self)
    }
}

impl Recorder for JsonLines {
    fn step_row(&mut self, row: &StepRow) -> Result<()> {
        self.steps.as_mut().map_or(Ok(()), |steps| steps.write(row))
    }

    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        let seconds = self.since.elapsed().as_secs_f64();
        self.since = Instant::now();
        let row = EpochRow { report: report.clone(), metrics: metrics.to_vec(), seconds };
        self.epochs.write(&row)
    }
}

/// A file of lines, created with the first one.
#[derive(Debug)]
struct Lines {
    path: PathBuf,
    file: Option<File>,
}

impl Lines {
    fn write(&mut self, row: &impl Serialize) -> Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(files::create(&self.path)?),
        };
        let mut write = || {
            let mut line = serde_json::to_vec(row)?;
            line.push(b'\n');
            file.write_all(&line)
        };
        write().map_err(|e| Error::io("write the file", &self.path, e))
    }
}
