//! One CSV file a run.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};

use crate::{EpochReport, Error, Result, error};

/// A row an epoch in one CSV file, written through a buffer.
///
/// Columns: `epoch`, `steps`, `loss_total`, `loss_task`, then for each modality m `loss_feature_m`,
/// `loss_logit_m`, `confidence_m`, `kappa_m`, then the probes' `probe_metric_m`, then the caller's own
/// metrics. The first row fixes them; a value that a later row lacks is left empty, one that the
/// header lacks is an error. What is not finite is written as `NaN` or `inf`.
#[derive(Debug)]
pub struct CsvRecorder {
    path: PathBuf,
    writer: csv::Writer<File>,
    header: Vec<String>,
}

impl CsvRecorder {
    /// Creates (or replaces) the file, and the folders it lies in.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref().to_path_buf();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| Error::io("create the folder", folder, e))?;
        }
        let file = File::create(&path).map_err(|e| Error::io("create the file", &path, e))?;
        Ok(Self { path, writer: csv::Writer::from_writer(file), header: Vec::new() })
    }

    /// Adds the row of an epoch; `metrics` are the caller's own columns, such as a validation
    /// accuracy, the same names in every row.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk refuses; [`Error::Config`] for a column that the first row lacked, or
    /// that comes twice.
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
        if self.header.is_empty() {
            self.header = cells.iter().map(|(name, _)| name.clone()).collect();
            self.writer.write_record(&self.header).map_err(|e| failed(&self.path, e))?;
        }
        if let Some((name, _)) = cells.iter().find(|(name, _)| !self.header.contains(name)) {
            return Err(error::config(
                format!("column {name:?} of {}", self.path.display()),
                format!("one of the first row's: {:?}", self.header),
                "another",
                "pass the same metrics in every epoch",
            ));
        }
        let value = |column: &String| {
            let cell = cells.iter().find(|(name, _)| name == column);
            cell.and_then(|(_, value)| *value).map_or_else(String::new, |v| v.to_string())
        };
        let row: Vec<String> = self.header.iter().map(value).collect();
        self.writer.write_record(row).map_err(|e| failed(&self.path, e))
    }

    /// Writes what is buffered to the file.
    ///
    /// # Errors
    /// [`Error::Io`] if the disk refuses. Dropping the recorder flushes too, but in silence.
    pub fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|e| Error::io("write the file", &self.path, e))
    }
}

fn cells(report: &EpochReport, metrics: &[(String, f64)]) -> Vec<(String, Option<f64>)> {
    let mut cells = vec![
        ("epoch".to_owned(), Some(report.epoch as f64)),
        ("steps".to_owned(), Some(report.steps as f64)),
        ("loss_total".to_owned(), Some(report.total)),
        ("loss_task".to_owned(), Some(report.task)),
    ];
    for (m, modality) in report.modalities.iter().enumerate() {
        cells.push((format!("loss_feature_{modality}"), report.feature[m]));
        cells.push((format!("loss_logit_{modality}"), report.logit[m]));
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
