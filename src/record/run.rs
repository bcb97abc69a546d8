//! Reads a run folder.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{EpochRow, Outcome, RunInfo};
use crate::error::{Error, Result};

/// The file of [`RunInfo`].
pub(super) const INFO: &str = "run.json";
/// The file of [`EpochRow`]s.
pub(super) const EPOCHS: &str = "epochs.jsonl";
/// The file of [`Outcome`].
pub(super) const RESULT: &str = "result.json";
/// Identifies the format of `run.json`.
pub(super) const FORMAT: &str = "g2d run 1";

/// The content of `run.json`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct InfoFile {
    pub format: String,
    #[serde(flatten)]
    pub info: RunInfo,
}

/// A recorded run, read from its folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The folder.
    pub folder: PathBuf,
    /// The description of the run.
    pub info: RunInfo,
    /// The epochs, in order.
    pub epochs: Vec<EpochRow>,
    /// The outcome; `None` for an unfinished run.
    pub outcome: Option<Outcome>,
    /// Notes for readers on incomplete files: a truncated line, a missing result.
    pub notes: Vec<String>,
}

impl Run {
    /// Reads a folder that [`RunFolder`](super::RunFolder) wrote.
    ///
    /// A truncated last line and a missing result, as after a crash, are noted and not an error.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that is missing or cannot be read, [`Error::Data`] with file and line for
    /// invalid content.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref().to_path_buf();
        let info = read_info(&folder)?;
        let mut notes = Vec::new();
        let epochs = read_epochs(&folder.join(EPOCHS), &info, &mut notes)?;
        let result = folder.join(RESULT);
        let outcome = if result.exists() { Some(read_json(&result)?) } else { None };
        if outcome.is_none() {
            notes.push(format!("{RESULT} is missing: the run is unfinished."));
        }
        Ok(Self { folder, info, epochs, outcome, notes })
    }
}

/// Reads `run.json` of a run folder.
pub(super) fn read_info(folder: &Path) -> Result<RunInfo> {
    let path = folder.join(INFO);
    if !path.exists() {
        let expected = format!("a folder with {INFO} and {EPOCHS}");
        let found = if folder.is_dir() { "a folder without them" } else { "no such folder" };
        return Err(Error::data(folder, "run folder", expected, found, HINT));
    }
    let file: InfoFile = read_json(&path)?;
    if file.format == FORMAT {
        return Ok(file.info);
    }
    let hint = "read it with the version of g2d that wrote it";
    let found = format!("{:?}", file.format);
    Err(Error::data(&path, "format", format_args!("{FORMAT:?}"), found, hint))
}

fn read_epochs(path: &Path, info: &RunInfo, notes: &mut Vec<String>) -> Result<Vec<EpochRow>> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("read the file", path, e))?;
    let mut rows: Vec<EpochRow> = Vec::new();
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let row = match EpochRow::parse(path, i, line.trim_end()) {
            Ok(row) => row,
            Err(_) if !line.ends_with('\n') => {
                notes.push(format!("The last line of {EPOCHS} is truncated and was ignored."));
                break;
            }
            Err(error) => return Err(error),
        };
        check_row(path, i, info, rows.last(), &row)?;
        rows.push(row);
    }
    Ok(rows)
}

/// Checks that the row of line `i` belongs to the run and follows the row `last`.
fn check_row(
    path: &Path,
    i: usize,
    info: &RunInfo,
    last: Option<&EpochRow>,
    row: &EpochRow,
) -> Result<()> {
    let refused = |what: &str, expected: &dyn Display, found: &dyn Display| {
        let what = format!("{what} in line {}", i + 1);
        Err(Error::data(path, what, expected, found, "remove the lines of other runs"))
    };
    let report = &row.report;
    if report.modalities != info.modalities {
        let [expected, found] = [&info.modalities, &report.modalities].map(|m| format!("{m:?}"));
        return refused("modalities", &expected, &found);
    }
    let (terms, k) = (&report.terms, info.modalities.len());
    let lengths =
        [report.kappa.len(), report.confidence.len(), terms.feature.len(), terms.logit.len()];
    let head = Some(terms.head.len()).filter(|length| *length > 0);
    if let Some(length) = lengths.into_iter().chain(head).find(|length| *length != k) {
        return refused("values", &format_args!("{k}, one per modality"), &length);
    }
    match last.map(|last| last.report.epoch) {
        Some(last) if last >= report.epoch => {
            refused("epoch", &format_args!("one after {last}"), &report.epoch)
        }
        _ => Ok(()),
    }
}

const HINT: &str = "choose a folder that `RunFolder` wrote";

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|e| Error::io("read the file", path, e))?;
    let invalid = |e| Error::data(path, "content", "the content that `RunFolder` writes", e, HINT);
    serde_json::from_slice(&text).map_err(invalid)
}
