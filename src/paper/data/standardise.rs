//! Columns and targets on a common scale, learnt from training data alone.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::error::{self, Error, Result};

/// Mean and standard deviation of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnScale {
    /// Its name.
    pub column: String,
    /// Mean of the training values that are there.
    pub mean: f64,
    /// Their standard deviation (divided by N); 1 where they do not vary.
    pub std: f64,
}

/// (x − mean) / std a column, a missing value being the mean: it becomes 0.
///
/// # Contract
/// - `fit` sees training data only, and whatever `apply` is given changes nothing in it.
/// - A value that is NaN or infinite counts as missing, in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Standardiser {
    columns: Vec<ColumnScale>,
}

impl Standardiser {
    /// Learns from training `rows` [N, columns].
    ///
    /// # Errors
    /// [`Error::Shape`] if `rows` is not [N, columns] with N of at least 1 and one name a column,
    /// [`Error::NonFinite`] for a column without any value.
    pub fn fit<S: AsRef<str>>(columns: &[S], rows: &Tensor) -> Result<Self> {
        check_rows(rows, columns.len())?;
        let wide = rows.to_kind(Kind::Double);
        let scale = |(place, name): (usize, &S)| {
            let values = wide.select(1, place as i64);
            let values = values.masked_select(&values.isfinite());
            if values.numel() == 0 {
                return Err(error::non_finite(
                    format!("column {:?} of the training data", name.as_ref()),
                    "at least one value",
                    "none",
                    "leave the column out",
                ));
            }
            let mean = values.mean(Kind::Double).double_value(&[]);
            let std = values.std(false).double_value(&[]);
            // Equal values differ by rounding from their own mean.
            let varies = std > 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
            let std = if varies { std } else { 1.0 };
            Ok(ColumnScale { column: name.as_ref().to_owned(), mean, std })
        };
        Ok(Self { columns: columns.iter().enumerate().map(scale).collect::<Result<_>>()? })
    }

    /// What it learnt, in the columns' order.
    pub fn columns(&self) -> &[ColumnScale] {
        &self.columns
    }

    /// `rows` [N, columns] standardised, as `Float`.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of columns.
    pub fn apply(&self, rows: &Tensor) -> Result<Tensor> {
        check_rows(rows, self.columns.len())?;
        let of = |value: fn(&ColumnScale) -> f64| {
            Tensor::from_slice(&self.columns.iter().map(value).collect::<Vec<_>>())
        };
        let scaled = (rows.to_kind(Kind::Double) - of(|c| c.mean)) / of(|c| c.std);
        let filled = scaled.where_self(&scaled.isfinite(), &scaled.zeros_like());
        Ok(filled.to_kind(Kind::Float))
    }
}

fn check_rows(rows: &Tensor, columns: usize) -> Result<()> {
    if matches!(rows.size().as_slice(), &[n, c] if n > 0 && c == columns as i64) {
        return Ok(());
    }
    Err(error::shape(
        "rows to standardise",
        format!("[N, {columns}] with N of at least 1"),
        format!("{:?}", rows.size()),
        "use the columns that the standardiser was made for, in their order",
    ))
}

/// The scale on which targets are learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetScale {
    /// As they are, standardised.
    #[default]
    Standard,
    /// Their natural logarithm, standardised: for positive targets with a long tail, such as prices.
    Log,
}

/// Takes targets to their scale and predictions back to the targets' own unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetScaler {
    scale: TargetScale,
    mean: f64,
    std: f64,
}

impl TargetScaler {
    /// Learns from training `targets` \[N\].
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a target that is missing or infinite; [`Error::Target`] for one that
    /// is not above 0 under [`TargetScale::Log`], or targets that do not vary.
    pub fn fit(targets: &Tensor, scale: TargetScale) -> Result<Self> {
        let raw = Self { scale, mean: 0.0, std: 1.0 }.scaled(targets)?;
        let (mean, std) = (raw.mean(Kind::Double), raw.std(false));
        let (mean, std) = (mean.double_value(&[]), std.double_value(&[]));
        if std.is_finite() && std > 1e-12 * mean.abs().max(f64::MIN_POSITIVE) {
            return Ok(Self { scale, mean, std });
        }
        Err(error::target(
            "the training data",
            "values that vary",
            format!("{} of mean {mean}, standard deviation {std}", targets.numel()),
            "check the target's column",
        ))
    }

    /// The scale.
    pub fn scale(&self) -> TargetScale {
        self.scale
    }

    /// Targets in their own unit, on the scale that is learnt, as `Float`.
    ///
    /// # Errors
    /// As `fit`, for values.
    pub fn apply(&self, targets: &Tensor) -> Result<Tensor> {
        Ok(self.scaled(targets)?.to_kind(Kind::Float))
    }

    fn scaled(&self, targets: &Tensor) -> Result<Tensor> {
        let targets = targets.to_kind(Kind::Double);
        let refuse = |legal: &Tensor| {
            let wrong = targets.masked_select(&legal.logical_not());
            (wrong.numel() > 0).then(|| wrong.double_value(&[0]))
        };
        if let Some(wrong) = refuse(&targets.isfinite()) {
            let hint = "leave samples without a target out";
            return Err(error::non_finite("a target", "a number", format!("{wrong}"), hint));
        }
        let own = match self.scale {
            TargetScale::Standard => targets,
            TargetScale::Log => {
                if let Some(wrong) = refuse(&targets.gt(0.0)) {
                    let hint = "use TargetScale::Standard";
                    let found = format!("{wrong}");
                    return Err(error::target("a sample", "a value above 0", found, hint));
                }
                targets.log()
            }
        };
        Ok((own - self.mean) / self.std)
    }

    /// Predictions, or scaled targets, in the targets' own unit, as `Double`.
    pub fn invert(&self, predictions: &Tensor) -> Tensor {
        let own = predictions.to_kind(Kind::Double) * self.std + self.mean;
        match self.scale {
            TargetScale::Standard => own,
            TargetScale::Log => own.exp(),
        }
    }
}

/// All that a run learnt of its training data's scale: save it with the weights, which are useless
/// without it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standardisation {
    /// The table's columns.
    pub table: Standardiser,
    /// The targets.
    pub target: TargetScaler,
}

impl Standardisation {
    /// Writes it as JSON.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let failed = |e: std::io::Error| Error::io("write the file", path, e);
        let text = serde_json::to_string_pretty(self).map_err(|e| failed(e.into()))?;
        fs::write(path, text + "\n").map_err(failed)
    }

    /// Reads what [`save`](Self::save) wrote; the last of 17 digits may differ.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, [`Error::Data`] if it is something else.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = fs::read_to_string(path).map_err(|e| Error::io("read the file", path, e))?;
        serde_json::from_str(&text).map_err(|e| {
            let expected = "a standardisation that a run saved";
            Error::data(
                path,
                "JSON",
                expected,
                e.to_string(),
                "take the file from the run's folder",
            )
        })
    }
}
