//! One CSV file a run.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use super::{Recorder, files};
use crate::{
    error::{self, Error, Result},
    step::EpochReport,
};

/// A row an epoch in one CSV file.
///
/// Columns: `epoch`, `steps`, `skipped`, `loss_total`, `loss_task`, then for each modality m `loss_feature_m`,
/// `loss_logit_m`, `confidence_m`, `kappa_m`, then the probes' `probe_metric_m`, then the caller's own
/// metrics. A value that a row lacks is left empty. One that the header lacks (a probe may measure an
/// encoder only once it learns) becomes a column at the end: the file is then replaced by a wider one,
/// whole. What is not finite is written as `NaN` or `inf`.
#[derive(Debug)]
pub struct Csv {
    path: PathBuf,
    writer: csv::Writer<File>,
    header: Vec<String>,
}

impl Csv {
    /// Creates (or replaces) the file, and the folders it lies in.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        let writer = csv::Writer::from_writer(files::create(&path)?);
        Ok(Self { path, writer, header: Vec::new() })
    }

    /// Goes on with the file of a run that is resumed at `epoch`: rows from there on are cut away, and
    /// so is a row that a crash cut. Creates the file where there is none.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; [`Error::Data`] for a file that is not one of this recorder's.
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
                    format!("line {}", i + 1),
                    "a row of a Csv, its column `epoch` first",
                    format!("{line:?}"),
                    "name another file, or create it anew",
                )),
            }
        })?;
        Ok(Self { path, writer: csv::Writer::from_writer(file), header })
    }

    /// Adds the row of an epoch, flushed to the file; `metrics` are the caller's own columns, such as a validation
    /// accuracy, the same names in every row.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk refuses; [`Error::Config`] for a column that comes twice.
    pub fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        let cells = cells(report, metrics);
        let mut names: Vec<_> = cells.iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(error::config(
                format!("columns of {}", self.path.display()),
                "names of their own",
                format!("{:?} twice", twice[0]),
                "give the metric another name",
            ));
        }
        let new = cells.iter().map(|(name, _)| name).filter(|name| !self.header.contains(name));
        let new: Vec<String> = new.cloned().collect();
        if self.header.is_empty() {
            self.writer.write_record(&new).map_err(|e| failed(&self.path, e))?;
            self.header = new;
        } else if !new.is_empty() {
            self.widen(new)?;
        }
        let value = |column: &String| {
            let cell = cells.iter().find(|(name, _)| name == column);
            cell.and_then(|(_, value)| *value).map_or_else(String::new, |v| v.to_string())
        };
        let row: Vec<String> = self.header.iter().map(value).collect();
        self.writer.write_record(row).map_err(|e| failed(&self.path, e))?;
        self.flush()
    }

    /// Adds columns at the end, empty in the rows that are there.
    fn widen(&mut self, new: Vec<String>) -> Result<()> {
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

    /// Writes what is buffered to the file; `epoch` has done so.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk refuses.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|e| Error::io("write the file", &self.path, e))
    }
}

impl Recorder for Csv {
    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        Csv::epoch(self, report, metrics)
    }
}

/// The fields of a line; none where it is no CSV.
fn fields(line: &str) -> Vec<String> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
    let row = reader.records().next().and_then(std::result::Result::ok);
    row.map_or_else(Vec::new, |row| row.iter().map(str::to_owned).collect())
}

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
    cells.extend(metrics.iter().map(|(name, value)| (name.clone(), Some(*value))));
    cells
}

fn failed(path: &Path, source: csv::Error) -> Error {
    Error::io("write the file", path, io::Error::other(source))
}
