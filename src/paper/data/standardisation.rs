//! Standardisation of columns and targets, fitted to training data.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::error::{self, Error, Result};

/// Mean and standard deviation of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnScale {
    /// The name of the column.
    pub column: String,
    /// Mean of its finite training values.
    pub mean: f64,
    /// Their standard deviation (divided by N); 1 if they are equal.
    pub std: f64,
}

/// Standardises every column: (x − mean) / std. NaN and infinite values count as missing: `fit` ignores
/// them and `apply` replaces them by the mean, which becomes 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Standardiser {
    columns: Vec<ColumnScale>,
}

impl Standardiser {
    /// Computes mean and standard deviation of training `rows` [N, columns].
    ///
    /// # Errors
    /// [`Error::Shape`] if `rows` is not [N, columns] with N ≥ 1 and one name per column, at least one,
    /// [`Error::NonFinite`] for a column without finite values.
    pub fn fit<S: AsRef<str>>(columns: &[S], rows: &Tensor) -> Result<Self> {
        check_rows(rows, columns.len())?;
        let rows = rows.to_kind(Kind::Double);
        let scale = |(i, name): (usize, &S)| {
            let values = rows.select(1, i as i64);
            let values = values.masked_select(&values.isfinite());
            if values.numel() == 0 {
                let what = format!("column {:?} of the training data", name.as_ref());
                let (expected, hint) = ("at least one finite value", "omit the column");
                return Err(error::non_finite(what, expected, "none", hint));
            }
            let (mean, std) = mean_and_std(&values);
            let std = if varies(mean, std) { std } else { 1.0 };
            Ok(ColumnScale { column: name.as_ref().to_owned(), mean, std })
        };
        Ok(Self { columns: columns.iter().enumerate().map(scale).collect::<Result<_>>()? })
    }

    /// Returns the scales, in the order of the columns.
    pub fn columns(&self) -> &[ColumnScale] {
        &self.columns
    }

    /// Returns `rows` [N, columns] standardised, as `Float`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of columns.
    pub fn apply(&self, rows: &Tensor) -> Result<Tensor> {
        check_rows(rows, self.columns.len())?;
        let row = |value: fn(&ColumnScale) -> f64| {
            Tensor::from_slice(&self.columns.iter().map(value).collect::<Vec<_>>())
        };
        let scaled = (rows.to_kind(Kind::Double) - row(|c| c.mean)) / row(|c| c.std);
        let filled = scaled.where_self(&scaled.isfinite(), &scaled.zeros_like());
        Ok(filled.to_kind(Kind::Float))
    }
}

fn check_rows(rows: &Tensor, columns: usize) -> Result<()> {
    if columns > 0 && matches!(rows.size()[..], [n, c] if n > 0 && c == columns as i64) {
        return Ok(());
    }
    let expected = format!("[N, {columns}] with at least 1 row and 1 column");
    let hint = match rows.size()[..] {
        [0, _] | [_, 0] => "omit an empty table",
        _ => "pass one name per column, or the columns that the standardiser was fitted to",
    };
    Err(error::wrong_shape("rows to standardise", expected, &rows.size(), hint))
}

/// Mean and standard deviation (divided by N) of a `Double` tensor.
fn mean_and_std(values: &Tensor) -> (f64, f64) {
    (values.mean(Kind::Double).double_value(&[]), values.std(false).double_value(&[]))
}

/// Returns whether values vary by more than the rounding of their mean.
fn varies(mean: f64, std: f64) -> bool {
    std.is_finite() && std > 1e-12 * mean.abs().max(f64::MIN_POSITIVE)
}

/// The scale on which targets are learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetScale {
    /// The targets, standardised.
    #[default]
    Standard,
    /// Their natural logarithm, standardised: for positive targets with a long tail, such as prices.
    Log,
}

/// Converts targets to the scale on which they are learnt, and predictions back to the targets' unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScaler {
    scale: TargetScale,
    mean: f64,
    std: f64,
}

impl TargetScaler {
    /// Fits the scaler to training `targets` \[N\].
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a NaN or infinite target; [`Error::Target`] for a target that is not
    /// above 0 under [`TargetScale::Log`], or targets that are all equal.
    pub fn fit(targets: &Tensor, scale: TargetScale) -> Result<Self> {
        let (mean, std) = mean_and_std(&Self { scale, mean: 0.0, std: 1.0 }.scaled(targets)?);
        if varies(mean, std) {
            return Ok(Self { scale, mean, std });
        }
        let n = targets.numel();
        let found = format!("{n} of mean {mean}, standard deviation {std}");
        let (what, hint) = ("the training data", "check the target's column");
        Err(error::target(what, "values that vary", found, hint))
    }

    /// Converts targets from their own unit to the learnt scale, `Float`.
    ///
    /// # Errors
    /// The errors of [`fit`](Self::fit) for single targets.
    pub fn apply(&self, targets: &Tensor) -> Result<Tensor> {
        Ok(self.scaled(targets)?.to_kind(Kind::Float))
    }

    fn scaled(&self, targets: &Tensor) -> Result<Tensor> {
        let targets = targets.to_kind(Kind::Double);
        let first_invalid = |valid: &Tensor| {
            let invalid = targets.masked_select(&valid.logical_not());
            (invalid.numel() > 0).then(|| invalid.double_value(&[0]))
        };
        if let Some(found) = first_invalid(&targets.isfinite()) {
            let hint = "omit samples without a target";
            return Err(error::non_finite("a target", "a finite number", found, hint));
        }
        let unscaled = match self.scale {
            TargetScale::Standard => targets,
            TargetScale::Log => {
                if let Some(found) = first_invalid(&targets.gt(0.0)) {
                    let hint = "use TargetScale::Standard";
                    return Err(error::target("a sample", "a value above 0", found, hint));
                }
                targets.log()
            }
        };
        Ok((unscaled - self.mean) / self.std)
    }

    /// Converts predictions or scaled targets to the targets' unit, `Double`.
    pub fn invert(&self, predictions: &Tensor) -> Tensor {
        let unscaled = predictions.to_kind(Kind::Double) * self.std + self.mean;
        match self.scale {
            TargetScale::Standard => unscaled,
            TargetScale::Log => unscaled.exp(),
        }
    }
}

/// The scales of a run's training data. Save it with the weights, which cannot be used without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardisation {
    /// The columns of the table.
    pub table: Standardiser,
    /// The targets.
    pub target: TargetScaler,
}

impl Standardisation {
    /// Writes the standardisation as JSON.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |e: std::io::Error| Error::io("write the file", path, e);
        let text = serde_json::to_string_pretty(self).map_err(|e| failed(e.into()))?;
        fs::write(path, text + "\n").map_err(failed)
    }

    /// Reads a standardisation that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Data`] if it is not a standardisation.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|e| Error::io("read the file", path, e))?;
        serde_json::from_str(&text).map_err(|e| {
            let hint = "pass the file from the run's folder";
            Error::data(path, "JSON", "a saved standardisation", e, hint)
        })
    }
}
