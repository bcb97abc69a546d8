//! CSV files with a row per epoch, and a row per recorded step.

use std::path::Path;

use super::{
    Recorder, StepRow,
    table::{Cells, Table},
};
use crate::error::Result;
use crate::loss::Terms;
use crate::modality::Modality;
use crate::schedule::Progress;
use crate::step::EpochReport;

/// The first column of a file of epochs.
const EPOCH: &str = "epoch";
/// The first column of a file of steps.
const STEP: &str = "step";

/// Records one row per epoch in a CSV file, and one row per recorded step in another.
///
/// The columns of epochs are `epoch`, `steps`, `skipped`, `loss_total`, `loss_task`, for each modality m
/// `loss_feature_m`, `loss_logit_m`, `confidence_m`, `kappa_m`, the measurements `probe_metric_m`, the
/// terms `loss_head_m` and `loss_ensemble` if the loss has them, and the caller's metrics. Those of steps
/// are `step` (finished steps of the run before it), `epoch`, the terms, ρ and κ as above, `lr` or
/// `lr_group` and `gradient_norm`. A missing value is an empty cell; a value that is not finite is `NaN` or
/// `inf`.
/// A value without a column, such as that of a probe that measures an encoder only once it is trained,
/// adds a column at the end: the file is then replaced atomically.
#[derive(Debug)]
pub struct Csv {
    epochs: Table,
    steps: Option<Table>,
    /// The position from which a run is resumed.
    resumed: Option<Progress>,
}

impl Csv {
    /// Creates or truncates the file of epochs, and creates its parent directories.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self { epochs: Table::create(path.as_ref())?, steps: None, resumed: None })
    }

    /// Opens the file of a run that resumes at `at`, such as
    /// [`G2dTrainer::progress`](crate::G2dTrainer::progress). Removes the rows of that and later epochs, and
    /// a truncated last row. Creates the file if it does not exist.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io); [`Error::Data`](crate::Error::Data) for a file that this recorder
    /// did not write.
    pub fn resume(path: impl AsRef<Path>, at: Progress) -> Result<Self> {
        let epochs = Table::resume(path.as_ref(), EPOCH, at.epoch)?;
        Ok(Self { epochs, steps: None, resumed: Some(at) })
    }

    /// Records steps in the file at `path`, which is created with the first row. A resumed recorder removes
    /// the rows of later steps, another one removes the file. [`Recorders::step_interval`] sets which steps
    /// are recorded.
    ///
    /// # Errors
    /// As [`create`](Self::create) and [`resume`](Self::resume).
    ///
    /// [`Recorders::step_interval`]: super::Recorders::step_interval
    pub fn steps(mut self, path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        self.steps = Some(match self.resumed {
            Some(at) if path.exists() => Table::resume(path, STEP, at.total_steps)?,
            _ => Table::new(path)?,
        });
        Ok(self)
    }
}

impl Recorder for Csv {
    fn step_row(&mut self, row: &StepRow) -> Result<()> {
        self.steps.as_mut().map_or(Ok(()), |steps| steps.write(&step_cells(row)))
    }

    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()> {
        self.epochs.write(&epoch_cells(report, metrics))
    }
}

/// The names and values of an epoch.
fn epoch_cells(report: &EpochReport, metrics: &[(String, f64)]) -> Cells {
    let mut cells = vec![
        (EPOCH.to_owned(), Some(report.epoch as f64)),
        ("steps".to_owned(), Some(report.steps as f64)),
        ("skipped".to_owned(), Some(report.skipped as f64)),
    ];
    let EpochReport { modalities, terms, confidence, kappa, .. } = report;
    cells.extend(value_cells(modalities, terms, confidence, kappa));
    for measurement in &report.measurements {
        let name = match &measurement.modality {
            Some(modality) => format!("probe_{}_{modality}", measurement.metric),
            None => format!("probe_{}", measurement.metric),
        };
        cells.push((name, Some(measurement.value)));
    }
    cells.extend(head_cells(modalities, terms));
    cells.extend(metrics.iter().map(|(name, value)| (name.clone(), Some(*value))));
    cells
}

/// The names and values of a step.
fn step_cells(row: &StepRow) -> Cells {
    let values = &row.values;
    let mut cells = vec![
        (STEP.to_owned(), Some(values.at.total_steps as f64)),
        (EPOCH.to_owned(), Some(values.at.epoch as f64)),
    ];
    cells.extend(value_cells(&row.modalities, &values.terms, &values.confidence, &values.kappa));
    cells.extend(head_cells(&row.modalities, &values.terms));
    for (group, lr) in &row.learning_rates {
        let separator = if group.is_empty() { "" } else { "_" };
        cells.push((format!("lr{separator}{group}"), Some(*lr)));
    }
    cells.push(("gradient_norm".to_owned(), row.gradient_norm));
    cells
}

fn value_cells(
    modalities: &[Modality],
    terms: &Terms<f64>,
    confidence: &[Option<f64>],
    kappa: &[f64],
) -> Cells {
    let mut cells = vec![
        ("loss_total".to_owned(), Some(terms.total)),
        ("loss_task".to_owned(), Some(terms.task)),
    ];
    for (m, modality) in modalities.iter().enumerate() {
        let known = |values: &[Option<f64>]| values.get(m).copied().flatten();
        cells.push((format!("loss_feature_{modality}"), known(&terms.feature)));
        cells.push((format!("loss_logit_{modality}"), known(&terms.logit)));
        cells.push((format!("confidence_{modality}"), known(confidence)));
        cells.push((format!("kappa_{modality}"), kappa.get(m).copied()));
    }
    cells
}

/// The terms of balanced training, if the loss has them.
fn head_cells(modalities: &[Modality], terms: &Terms<f64>) -> Cells {
    let heads = modalities.iter().zip(&terms.head);
    let mut cells: Cells = heads.map(|(m, term)| (format!("loss_head_{m}"), *term)).collect();
    cells.extend(terms.ensemble.map(|term| ("loss_ensemble".to_owned(), Some(term))));
    cells
}
