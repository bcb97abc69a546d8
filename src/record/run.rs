//! Reads a run folder.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{EpochRow, Outcome, RunInfo};
use crate::error::{Error, Result};

/// What is known before the run.
pub(super) const INFO: &str = "run.json";
/// A line an epoch.
pub(super) const EPOCHS: &str = "epochs.jsonl";
/// What the run ended with.
pub(super) const RESULT: &str = "result.json";
/// Says of `run.json` what it is.
pub(super) const FORMAT: &str = "g2d run 1";

/// `run.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InfoFile {
    pub format: String,
    #[serde(flatten)]
    pub info: RunInfo,
}

/// A run as its folder tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Where it lies.
    pub folder: PathBuf,
    /// What was known before it started.
    pub info: RunInfo,
    /// Its epochs, in order.
    pub epochs: Vec<EpochRow>,
    /// What it ended with; `None` for a run that has not ended.
    pub outcome: Option<Outcome>,
    /// What a reader should know of the files, in plain words: a line that was cut, a missing result.
    pub notes: Vec<String>,
}

impl Run {
    /// Reads what a [`RunFolder`](super::RunRecorder) wrote to `folder`.
    ///
    /// A last line that a crash cut is left out and noted, and so is a missing result.
    ///
    /// # Errors
    /// [`Error::Io`] for files that are missing or cannot be read, [`Error::Data`] with file and line
    /// for what is cut elsewhere, foreign, or of other modalities.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let info = read_info(&folder)?;
        let mut notes = Vec::new();
        let epochs = read_epochs(&folder.join(EPOCHS), &info, &mut notes)?;
        let result = folder.join(RESULT);
        let outcome = if result.exists() { Some(read_json(&result)?) } else { None };
        if outcome.is_none() {
            notes.push(format!("{RESULT} is not there: the run has not ended, or was stopped."));
        }
        Ok(Self { folder, info, epochs, outcome, notes })
    }
}

/// `run.json` of a run folder.
pub(super) fn read_info(folder: &Path) -> Result<RunInfo> {
    let path = folder.join(INFO);
    if !path.exists() {
        return Err(Error::data(
            folder,
            "run folder",
            format!("a folder with {INFO} and {EPOCHS}"),
            if folder.is_dir() { "a folder without them" } else { "no such folder" },
            "name the folder that a RunFolder wrote to",
        ));
    }
    let file: InfoFile = read_json(&path)?;
    if file.format == FORMAT {
        return Ok(file.info);
    }
    let hint = "read it with the version of g2d that wrote it";
    Err(Error::data(&path, "format", format!("{FORMAT:?}"), format!("{:?}", file.format), hint))
}

fn read_epochs(path: &Path, info: &RunInfo, notes: &mut Vec<String>) -> Result<Vec<EpochRow>> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("read the file", path, e))?;
    let mut rows: Vec<EpochRow> = Vec::new();
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let row = match EpochRow::parse(path, i, line.trim_end()) {
            Ok(row) => row,
            Err(_) if !line.ends_with('\n') => {
                notes.push(format!("The last line of {EPOCHS} was cut off and is left out."));
                break;
            }
            Err(error) => return Err(error),
        };
        let refused = |what: &str, expected: String, found: String| {
            let hint = "the lines are not of one run: take the others out";
            Error::data(path, format!("{what} in line {}", i + 1), expected, found, hint)
        };
        if row.report.modalities != info.modalities {
            let [expected, found] =
                [&info.modalities, &row.report.modalities].map(|names| format!("{names:?}"));
            return Err(refused("modalities", expected, found));
        }
        let of_each = [
            row.report.confidence.len(),
            row.report.terms.feature.len(),
            row.report.terms.logit.len(),
        ];
        let k = info.modalities.len();
        if row.report.kappa.len() != k || of_each != [k; 3] {
            return Err(refused("values", format!("{k}, one a modality"), "another number".into()));
        }
        if let Some(last) = rows.last().filter(|last| last.report.epoch >= row.report.epoch) {
            let (last, this) = (last.report.epoch, row.report.epoch);
            return Err(refused("epoch", format!("one after {last}"), format!("{this}")));
        }
        rows.push(row);
    }
    Ok(rows)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|e| Error::io("read the file", path, e))?;
    serde_json::from_slice(&text).map_err(|e| {
        let hint = "name the folder that a RunFolder wrote to";
        Error::data(path, "content", "what a RunFolder writes", e.to_string(), hint)
    })
}
