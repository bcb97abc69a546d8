//! Metrics of real-valued predictions.

use tch::{Device, Kind, Tensor};

use super::{HINT, failed};
use crate::error::{self, Result};

/// Root mean squared error √(mean (p − y)²) of `predictions` p against `targets` y, both \[N\] or
/// [N, 1].
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) for other shapes,
/// [`Error::NonFinite`](crate::Error::NonFinite) for a value that is NaN or infinite.
pub fn rmse(predictions: &Tensor, targets: &Tensor) -> Result<f64> {
    let (p, y) = values(predictions, targets)?;
    mean((p - y).square()).map(f64::sqrt)
}

/// Mean absolute error, mean |p − y|, of `predictions` p against `targets` y, both \[N\] or [N, 1].
///
/// # Errors
/// As [`rmse`].
pub fn mae(predictions: &Tensor, targets: &Tensor) -> Result<f64> {
    let (p, y) = values(predictions, targets)?;
    mean((p - y).abs())
}

/// Coefficient of determination R² = 1 − Σ (p − y)² / Σ (y − ȳ)² of `predictions` p against
/// `targets` y, both \[N\] or [N, 1]. Perfect predictions have 1, the constant prediction ȳ has 0.
///
/// # Errors
/// As [`rmse`]; [`Error::Target`](crate::Error::Target) if all targets are equal, for which R² is not defined.
pub fn r2(predictions: &Tensor, targets: &Tensor) -> Result<f64> {
    let (p, y) = values(predictions, targets)?;
    if y.max().double_value(&[]) == y.min().double_value(&[]) {
        let found = format!("{} targets of {}", y.numel(), y.double_value(&[0]));
        let hint = "use the MAE: R² is not defined for equal targets";
        return Err(error::target("R²", "targets that vary", found, hint));
    }
    let variance = mean((&y - y.mean(Kind::Double)).square())?;
    Ok(1.0 - mean((p - y).square())? / variance)
}

/// Mean absolute percentage error, 100 · mean |(p − y) / y|, of `predictions` p against `targets`
/// y, both \[N\] or [N, 1].
///
/// # Errors
/// As [`rmse`]; [`Error::Target`](crate::Error::Target) for a target of 0, for which the MAPE is not defined.
pub fn mape(predictions: &Tensor, targets: &Tensor) -> Result<f64> {
    let (p, y) = values(predictions, targets)?;
    let zeros = y.eq(0.0).sum(Kind::Int64).int64_value(&[]);
    if zeros > 0 {
        let hint = "use the MAE, or a target without zeros";
        return Err(error::target("MAPE", "no target of 0", zeros, hint));
    }
    mean(((p - &y) / y).abs() * 100.0)
}

/// Checks predictions and targets and returns both as `Double` \[N\] in host memory.
fn values(predictions: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
    let (found, wanted) = (predictions.size(), targets.size());
    let column = |size: &[i64]| matches!(size, &[n] | &[n, 1] if n > 0);
    if !column(&found) || !column(&wanted) || found[0] != wanted[0] {
        return Err(error::shape(
            "predictions and targets",
            "[N] or [N, 1] with the same N of at least 1",
            format!("{found:?} and {wanted:?}"),
            "pass one value per sample",
        ));
    }
    let flat = |what: &str, tensor: &Tensor| {
        let copy =
            || tensor.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double)?.f_view(-1);
        let flat = copy().map_err(failed)?;
        if flat.isfinite().all().int64_value(&[]) == 0 {
            return Err(error::non_finite(what, "finite values", "NaN or infinity", HINT));
        }
        Ok(flat)
    };
    Ok((flat("predictions", predictions)?, flat("targets", targets)?))
}

fn mean(values: Tensor) -> Result<f64> {
    Ok(values.f_mean(Kind::Double).map_err(failed)?.double_value(&[]))
}
