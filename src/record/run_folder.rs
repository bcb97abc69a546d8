//! The recorder of a run folder.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{JsonLines, Outcome, Recorder, Run, RunInfo, StepRow, files, run};
use crate::error::{Error, Result};
use crate::schedule::Progress;
use crate::step::EpochReport;

/// Records a run folder, which [`Run::read`] reads during and after the run.
///
/// The folder has `run.json` ([`RunInfo`]), `epochs.jsonl` (an [`EpochRow`](super::EpochRow) per line),
/// `steps.jsonl` (a [`StepRow`] per line) if steps are recorded, and, after `finish`, `result.json`
/// ([`Outcome`]).
#[derive(Debug)]
pub struct RunFolder {
    folder: PathBuf,
    rows: JsonLines,
    /// Start of the run that is resumed.
    created: Option<String>,
}

impl RunFolder {
    /// Starts a run in `folder`, and replaces a run that is there.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let rows = JsonLines::create(folder.join(run::EPOCHS))?.steps(folder.join(run::STEPS))?;
        files::remove(&folder.join(run::INFO))?;
        files::remove(&folder.join(run::RESULT))?;
        Ok(Self { folder, rows, created: None })
    }

    /// Resumes the run in `folder` at `at`, such as
    /// [`G2dTrainer::progress`](crate::G2dTrainer::progress). Removes that and later epochs, later steps
    /// and the outcome. Starts a run if there is none.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for files that are not those of a run.
    pub fn resume(folder: impl AsRef<Path>, at: Progress) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let exists = folder.join(run::INFO).exists();
        let created = if exists { Some(run::read_info(&folder)?.created) } else { None };
        let rows = JsonLines::resume(folder.join(run::EPOCHS), at)?;
        let rows = rows.steps(folder.join(run::STEPS))?;
        files::remove(&folder.join(run::RESULT))?;
        Ok(Self { folder, rows, created })
    }

    fn write(&self, name: &str, content: &impl Serialize) -> Result<()> {
        let path = self.folder.join(name);
        let mut text = serde_json::to_vec_pretty(content)
            .map_err(|e| Error::io("write the file", &path, e.into()))?;
        text.push(b'\n');
        files::replace(&path, &text)
    }
}

impl Recorder for RunFolder {
    fn begin(&mut self, info: &RunInfo) -> Result<()> {
        let mut info = info.clone();
        if let Some(created) = &self.created {
            info.created.clone_from(created);
        }
        self.write(run::INFO, &run::InfoFile { format: run::FORMAT.to_owned(), info })
    }

    fn step_row(&mut self, row: &StepRow) -> Result<()> {
        self.rows.step_row(row)
    }

    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        self.rows.epoch(report, metrics)
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        self.write(run::RESULT, outcome)
    }

    fn recorded(&self) -> Result<Option<Run>> {
        Run::read(&self.folder).map(Some)
    }
}
