//! A CSV file with a row per epoch.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{Recorder, files};
use crate::error::{self, Error, Result};
use crate::step::EpochReport;

/// Records one row per epoch in a CSV file.
///
/// The columns are `epoch`, `steps`, `skipped`, `loss_total`, `loss_task`, for each modality m
/// `loss_feature_m`, `loss_logit_m`, `confidence_m`, `kappa_m`, the measurements `probe_metric_m`, the
/// terms `loss_head_m` and `loss_ensemble` if the loss has them, and the caller's metrics. A missing
/// value is an empty cell; a value that is not finite is `NaN` or `inf`.
/// A value without a column, such as that of a probe that measures an encoder only once it is trained,
/// adds a column at the end: the file is then replaced atomically.
#[derive(Debug)]
pub struct Csv {
    path: PathBuf,
    writer: csv::Writer<File>,
    header: Vec<String>,
}

impl Csv {
    /// Creates or truncates the file, and creates its parent directories.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let writer = csv::Writer::from_writer(files::create(&path)?);
        Ok(Self { path, writer, header: Vec::new() })
    }

    /// Opens the file of a run that resumes at `epoch`. Removes the rows of that and later epochs, and a
    /// truncated last row. Creates the file if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Data`] for a file that this recorder did not write.
    pub fn resume(path: impl AsRef<Path>, epoch: u64) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let mut header = Vec::new();
        let file = files::reopen(&path, |i, line| {
            if i == 0 {
                header = fields(line);
            }
            let first = if i == 0 { "" } else { line.split(',').next().unwrap_or_default() };
            match (header.first().map(String::as_str), i, first.parse::<u64>()) {
                (Some("epoch"), 0, _) => Ok(true),
                (Some("epoch"), _, Ok(of)) => Ok(of < epoch),
                _ => Err(Error::data(
                    &path,
                    format_args!("line {}", i + 1),
                    "a row whose first column is `epoch`",
                    format_args!("{line:?}"),
                    "choose a file that `Csv` wrote, or create a new one",
                )),
            }
        })?;
        Ok(Self { path, writer: csv::Writer::from_writer(file), header })
    }

    /// Adds columns at the end, which are empty in the existing rows.
    fn add_columns(&mut self, new: Vec<String>) -> Result<()> {
        let wider = || -> csv::Result<Vec<u8>> {
            let mut rows = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_path(&self.path)?;
            let mut wide = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
            for (i, row) in rows.records().enumerate() {
                let mut row = row?;
                new.iter().for_each(|name| row.push_field(if i == 0 { name } else { "" }));
                wide.write_record(&row)?;
            }
            wide.flush()?;
            Ok(wide.get_ref().clone())
        };
        files::replace(&self.path, &wider().map_err(|e| failed(&self.path, e))?)?;
        self.writer = csv::Writer::from_writer(files::reopen(&self.path, |_, _| Ok(true))?);
        self.header.extend(new);
        Ok(())
    }

    fn write(&mut self, row: impl IntoIterator<Item = String>) -> Result<()> {
        self.writer.write_record(row).map_err(|e| failed(&self.path, e))
    }
}

impl Recorder for Csv {
    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        let cells = cells(report, metrics);
        let mut names: Vec<_> = cells.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!("columns of {}", self.path.display());
            let found = format!("{:?} twice", twice[0]);
            return Err(error::config(what, "distinct names", found, "rename the metric"));
        }
        let new = cells.iter().map(|(name, _)| name).filter(|name| !self.header.contains(name));
        let new: Vec<String> = new.cloned().collect();
        if self.header.is_empty() {
            self.write(new.clone())?;
            self.header = new;
        } else if !new.is_empty() {
            self.add_columns(new)?;
        }
        let value = |column: &String| {
            let cell = cells.iter().find(|(name, _)| name == column);
            cell.and_then(|(_, value)| *value).map_or_else(String::new, |v| v.to_string())
        };
        let row: Vec<String> = self.header.iter().map(value).collect();
        self.write(row)?;
        self.writer.flush().map_err(|e| Error::io("write the file", &self.path, e))
    }
}

/// The fields of a line; empty for invalid CSV.
fn fields(line: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    let row = reader.records().next().and_then(std::result::Result::ok);
    row.map_or_else(Vec::new, |row| row.iter().map(str::to_owned).collect())
}

/// The names and values of a row.
fn cells(report: &EpochReport, metrics: &[(String, f64)]) -> Vec<(String, Option<f64>)> {
    let mut cells = vec![
        ("epoch".to_owned(), Some(report.epoch as f64)),
        ("steps".to_owned(), Some(report.steps as f64)),
        ("skipped".to_owned(), Some(report.skipped as f64)),
        ("loss_total".to_owned(), Some(report.terms.total)),
        ("loss_task".to_owned(), Some(report.terms.task)),
    ];
    for (m, modality) in report.modalities.iter().enumerate() {
        cells.push((format!("loss_feature_{modality}"), report.terms.feature[m]));
        cells.push((format!("loss_logit_{modality}"), report.terms.logit[m]));
        cells.push((format!("confidence_{modality}"), report.confidence[m]));
        cells.push((format!("kappa_{modality}"), Some(report.kappa[m])));
    }
    for measurement in &report.measurements {
        let name = match &measurement.modality {
            Some(modality) => format!("probe_{}_{modality}", measurement.metric),
            None => format!("probe_{}", measurement.metric),
        };
        cells.push((name, Some(measurement.value)));
    }
    for (modality, term) in report.modalities.iter().zip(&report.terms.head) {
        cells.push((format!("loss_head_{modality}"), *term));
    }
    cells.extend(report.terms.ensemble.map(|term| ("loss_ensemble".to_owned(), Some(term))));
    cells.extend(metrics.iter().map(|(name, value)| (name.clone(), Some(*value))));
    cells
}

fn failed(path: &Path, source: csv::Error) -> Error {
    Error::io("write the file", path, io::Error::other(source))
}
