//! Measures of a prediction against its targets.
//!
//! [`accuracy`] of classes; [`rmse`], [`mae`], [`r2`] and [`mape`] of values, each in the unit that
//! both are given in: bring scaled predictions back to the targets' own unit first.

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{self, Error, Result};

/// Share of rows of `logits` [N, C] whose largest entry is at the label in `targets` \[N\], in [0, 1].
///
/// # Errors
/// [`Error::Shape`] for other shapes, [`Error::Kind`] if the targets are not `Int64`.
pub fn accuracy(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let (size, labels) = (logits.size(), targets.size());
    if size.len() != 2 || labels != size[..1] || size[0] == 0 {
        return Err(error::shape(
            "logits and targets",
            "[N, C] and [N] with N of at least 1",
            format!("{size:?} and {labels:?}"),
            "accuracy is for one class a sample",
        ));
    }
    if targets.kind() != Kind::Int64 {
        return Err(error::kind(
            "targets",
            "Int64 class labels",
            format!("{:?}", targets.kind()),
            "convert with `to_kind(Kind::Int64)`",
        ));
    }
    let share =
        || logits.f_argmax(1, false)?.f_eq_tensor(targets)?.f_to_kind(Kind::Double)?.f_mean(None);
    let share = share().map_err(|e| Error::torch("compute an accuracy", e))?;
    Ok(share.double_value(&[]))
}

/// Root mean squared error √(mean (p − y)²) of `predictions` against `targets`, both \[N\], or [N, 1].
///
/// # Errors
/// [`Error::Shape`] for other shapes, [`Error::NonFinite`] for a value that is NaN or infinite.
pub fn rmse(predictions: &Tensor, targets: &Tensor) -> Result<f64> {
    let (p, y) = values(predictions, targets)?;
    mean((p - y).square()).map(f64::sqrt)
}

/// Mean absolute error, mean |p − y|.
///
/// # Errors
/// As [`rmse`].
pub fn mae(predictions: &Tensor, targets: &Tensor) -> Result<f64> {
    let (p, y) = values(predictions, targets)?;
    mean((p - y).abs())
}

/// Coefficient of determination R² = 1 − Σ (p − y)² / Σ (y − ȳ)²: 1 is perfect, 0 as good as the mean
/// ȳ of these targets, below 0 worse.
///
/// # Errors
/// As [`rmse`]; [`Error::Target`] if the targets do not vary, where it is not defined.
pub fn r2(predictions: &Tensor, targets: &Tensor) -> Result<f64> {
    let (p, y) = values(predictions, targets)?;
    if y.max().double_value(&[]) == y.min().double_value(&[]) {
        let found = format!("{} of {}", y.numel(), y.double_value(&[0]));
        let hint = "R² compares with their mean, which would be right: use the MAE";
        return Err(error::target("R²", "targets that vary", found, hint));
    }
    let around = mean((&y - y.mean(Kind::Double)).square())?;
    Ok(1.0 - mean((p - y).square())? / around)
}

/// Mean absolute percentage error, 100 · mean |(p − y) / y|.
///
/// # Errors
/// As [`rmse`]; [`Error::Target`] for a target of 0, of which nothing is a percentage.
pub fn mape(predictions: &Tensor, targets: &Tensor) -> Result<f64> {
    let (p, y) = values(predictions, targets)?;
    let zeros = y.eq(0.0).sum(Kind::Int64).int64_value(&[]);
    if zeros > 0 {
        let hint = "use the MAE, or a target without zeros";
        return Err(error::target("MAPE", "no target of 0", format!("{zeros}"), hint));
    }
    mean(((p - &y) / y).abs() * 100.0)
}

/// Both as `Double` \[N\] in host memory.
fn values(predictions: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
    let (size, wanted) = (predictions.size(), targets.size());
    let column = |size: &[i64]| matches!(size, &[n] | &[n, 1] if n > 0);
    if !column(&size) || !column(&wanted) || size[0] != wanted[0] {
        return Err(error::shape(
            "predictions and targets",
            "[N] or [N, 1] with the same N of at least 1",
            format!("{size:?} and {wanted:?}"),
            "these measures are for one value a sample",
        ));
    }
    let flat = |what: &str, tensor: &Tensor| {
        let moved =
            || tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_view(-1);
        let flat = moved().map_err(failed)?;
        if flat.isfinite().all().int64_value(&[]) == 0 {
            let hint = "check the network's weights and inputs for NaN";
            return Err(error::non_finite(what, "finite values", "NaN or infinity", hint));
        }
        Ok(flat)
    };
    Ok((flat("predictions", predictions)?, flat("targets", targets)?))
}

fn mean(values: Tensor) -> Result<f64> {
    Ok(values.f_mean(Kind::Double).map_err(failed)?.double_value(&[]))
}

fn failed(source: TchError) -> Error {
    Error::torch("measure predictions", source)
}
