//! Reads a run folder.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{EpochRow, Outcome, RunInfo, StepRow};
use crate::error::{Error, Result};
use crate::loss::Terms;
use crate::modality::Modality;
use crate::step::{EpochReport, StepValues};

/// The file of [`RunInfo`].
pub(super) const INFO: &str = "run.json";
/// The file of [`EpochRow`]s.
pub(super) const EPOCHS: &str = "epochs.jsonl";
/// The file of [`StepRow`]s.
pub(super) const STEPS: &str = "steps.jsonl";
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
    /// The recorded steps, in order; empty if none were recorded.
    pub steps: Vec<StepRow>,
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
        let path = folder.join(EPOCHS);
        let epochs: Vec<EpochRow> =
            read_rows(&path, &mut notes, EpochRow::parse, |last, i, row| {
                check_epoch(&path, i, &info, last, row)
            })?;
        let path = folder.join(STEPS);
        let steps: Vec<StepRow> = match path.exists() {
            true => read_rows(&path, &mut notes, StepRow::parse, |last, i, row| {
                check_step(&path, i, &info, last, row)
            })?,
            false => Vec::new(),
        };
        let result = folder.join(RESULT);
        let outcome = if result.exists() { Some(read_json(&result)?) } else { None };
        if outcome.is_none() {
            notes.push(format!("{RESULT} is missing: the run is unfinished."));
        }
        Ok(Self { folder, info, epochs, steps, outcome, notes })
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

/// Reads the rows of a file, each of which `check` compares with the row before.
fn read_rows<T>(
    path: &Path,
    notes: &mut Vec<String>,
    parse: impl Fn(&Path, usize, &str) -> Result<T>,
    check: impl Fn(Option<&T>, usize, &T) -> Result<()>,
) -> Result<Vec<T>> {
    let text = fs::read_to_string(path).map_err(|e| Error::io("read the file", path, e))?;
    let mut rows: Vec<T> = Vec::new();
    for (i, line) in text.split_inclusive('\n').enumerate() {
        let row = match parse(path, i, line.trim_end()) {
            Ok(row) => row,
            Err(_) if !line.ends_with('\n') => {
                let name = path.file_name().unwrap_or_default().display();
                notes.push(format!("The last line of {name} is truncated and was ignored."));
                break;
            }
            Err(error) => return Err(error),
        };
        check(rows.last(), i, &row)?;
        rows.push(row);
    }
    Ok(rows)
}

/// Checks that the epoch of line `i` belongs to the run and follows the row `last`.
fn check_epoch(
    path: &Path,
    i: usize,
    info: &RunInfo,
    last: Option<&EpochRow>,
    row: &EpochRow,
) -> Result<()> {
    let EpochReport { modalities, kappa, confidence, terms, epoch, .. } = &row.report;
    check_modalities(path, i, info, modalities, [kappa.len(), confidence.len()], terms)?;
    check_order(path, i, "epoch", last.map(|last| last.report.epoch), *epoch)
}

/// Checks that the step of line `i` belongs to the run and follows the row `last`.
fn check_step(
    path: &Path,
    i: usize,
    info: &RunInfo,
    last: Option<&StepRow>,
    row: &StepRow,
) -> Result<()> {
    let StepValues { at, kappa, confidence, terms, .. } = &row.values;
    check_modalities(path, i, info, &row.modalities, [kappa.len(), confidence.len()], terms)?;
    let last = last.map(|last| last.values.at.total_steps);
    check_order(path, i, "step", last, at.total_steps)
}

/// Checks the modalities of a row, and the lengths of its vectors.
fn check_modalities(
    path: &Path,
    i: usize,
    info: &RunInfo,
    modalities: &[Modality],
    lengths: [usize; 2],
    terms: &Terms<f64>,
) -> Result<()> {
    if modalities != info.modalities {
        let [expected, found] = [&info.modalities[..], modalities].map(|m| format!("{m:?}"));
        return refused(path, i, "modalities", &expected, &found);
    }
    let k = info.modalities.len();
    // A loss without terms of a kind has none for any modality.
    let of_terms = [&terms.feature, &terms.logit, &terms.head].map(Vec::len);
    let of_terms = of_terms.into_iter().filter(|length| *length > 0);
    let mut lengths = lengths.into_iter().chain(of_terms);
    match lengths.find(|length| *length != k) {
        Some(length) => refused(path, i, "values", &format_args!("{k}, one per modality"), &length),
        None => Ok(()),
    }
}

/// Checks that the number of a row is larger than that of the row before.
fn check_order(path: &Path, i: usize, what: &str, last: Option<u64>, found: u64) -> Result<()> {
    match last {
        Some(last) if last >= found => {
            refused(path, i, what, &format_args!("one after {last}"), &found)
        }
        _ => Ok(()),
    }
}

fn refused(
    path: &Path,
    i: usize,
    what: &str,
    expected: &dyn Display,
    found: &dyn Display,
) -> Result<()> {
    let what = format!("{what} in line {}", i + 1);
    Err(Error::data(path, what, expected, found, "remove the lines of other runs"))
}

const HINT: &str = "choose a folder that `RunFolder` wrote";

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(|e| Error::io("read the file", path, e))?;
    let invalid = |e| Error::data(path, "content", "the content that `RunFolder` writes", e, HINT);
    serde_json::from_slice(&text).map_err(invalid)
}
