//! Writes a run folder.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{JsonLines, Outcome, Recorder, RunInfo, files, run};
use crate::{
    error::{Error, Result},
    step::EpochReport,
};

/// Writes a run folder: `run.json` ([`RunInfo`]) at `begin`, a line of `epochs.jsonl`
/// ([`EpochRow`](super::EpochRow)) an epoch, `result.json` ([`Outcome`]) at `finish`.
///
/// [`Run::read`](super::Run::read) reads it back at any time, whether the run has ended or not.
#[derive(Debug)]
pub struct RunFolder {
    folder: PathBuf,
    epochs: JsonLines,
    /// When a run that is resumed was started.
    created: Option<String>,
}

impl RunFolder {
    /// Starts a run in `folder`, in place of one that is there.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn create(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let epochs = JsonLines::create(folder.join(run::EPOCHS))?;
        files::remove(&folder.join(run::INFO))?;
        files::remove(&folder.join(run::RESULT))?;
        Ok(Self { folder, epochs, created: None })
    }

    /// Goes on with the run in `folder` at `epoch`: later epochs and its result are cut away. Starts
    /// one where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Data`] for files that are not a run's.
    pub fn resume(folder: impl AsRef<Path>, epoch: u64) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let there = folder.join(run::INFO).exists();
        let created = if there { Some(run::read_info(&folder)?.created) } else { None };
        let epochs = JsonLines::resume(folder.join(run::EPOCHS), epoch)?;
        files::remove(&folder.join(run::RESULT))?;
        Ok(Self { folder, epochs, created })
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

    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        self.epochs.epoch(report, metrics)
    }

    fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        self.write(run::RESULT, outcome)
    }
}
