//! Metrics of predictions against targets.
//!
//! [`accuracy`], [`nll`] and [`selection_score`] are for classification; [`rmse`], [`mae`], [`r2`] and
//! [`mape`] are for regression.
//! [`rmse`] and [`mae`] are in the unit of the targets: scale standardised predictions back first.

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{self, Error, Result};
use crate::transfer;

/// The hint for predictions that are not finite.
const HINT: &str = "check the network's weights and inputs for NaN";

/// Fraction of the rows of `logits` [N, C] whose largest entry is at the label in `targets` \[N\],
/// from 0 to 1.
///
/// # Errors
/// [`Error::Shape`] for other shapes, [`Error::Kind`] if the targets are not of dtype `Int64`,
/// [`Error::NonFinite`] for a logit that is NaN or infinite.
pub fn accuracy(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    check_labels(logits, targets)?;
    let accuracy =
        || logits.f_argmax(1, false)?.f_eq_tensor(targets)?.f_to_kind(Kind::Double)?.f_mean(None);
    Ok(accuracy().map_err(failed)?.double_value(&[]))
}

/// Mean negative log-likelihood −log softmax(l)\[y\] of the rows l of `logits` [N, C] and their labels y
/// in `targets` \[N\], computed in `Double`.
///
/// # Errors
/// As [`accuracy`]; [`Error::Target`] for a label outside `0..C`.
pub fn nll(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    check_labels(logits, targets)?;
    let classes = logits.size()[1];
    let [least, largest] = [targets.min(), targets.max()].map(|label| label.int64_value(&[]));
    if least < 0 || largest >= classes {
        let expected = format!("classes 0..{classes}, the width of the logits");
        let found = if least < 0 { least } else { largest };
        let hint = "check the labels and the width of the last layer";
        return Err(error::target("targets", expected, found, hint));
    }
    let mean = || {
        let chosen =
            logits.f_log_softmax(1, Kind::Double)?.f_gather(1, &targets.f_unsqueeze(1)?, false)?;
        chosen.f_neg()?.f_mean(None)
    };
    Ok(mean().map_err(failed)?.double_value(&[]))
}

/// A score by which epochs are compared on validation data: the number of correct rows of `logits`
/// [N, C], plus 1 / (1 + [`nll`]). A higher accuracy always has a higher score; of equal accuracies,
/// which are frequent on small data, the lower NLL has the higher score.
///
/// # Errors
/// As [`nll`].
pub fn selection_score(logits: &Tensor, targets: &Tensor) -> Result<f64> {
    let correct = (accuracy(logits, targets)? * targets.numel() as f64).round();
    Ok(correct + 1.0 / (1.0 + nll(logits, targets)?))
}

/// Refuses logits and targets other than [N, C] and `Int64` \[N\] with N of at least 1.
fn check_labels(logits: &Tensor, targets: &Tensor) -> Result<()> {
    let (size, labels) = (logits.size(), targets.size());
    if size.len() != 2 || labels != size[..1] || size.contains(&0) {
        return Err(error::shape(
            "logits and targets",
            "[N, C] and [N] with N and C of at least 1",
            format!("{size:?} and {labels:?}"),
            "pass one label per sample: the metric is for single-label classification",
        ));
    }
    if targets.kind() != Kind::Int64 {
        let hint = "convert with `to_kind(Kind::Int64)`";
        return Err(error::wrong_kind("targets", "Int64 class labels", targets.kind(), hint));
    }
    if let Some(row) = transfer::first_non_finite_row(logits)? {
        let found = format!("NaN or infinity in row {row}");
        return Err(error::non_finite("logits", "finite values", found, HINT));
    }
    Ok(())
}

/// Root mean squared error √(mean (p − y)²) of `predictions` p against `targets` y, both \[N\] or
/// [N, 1].
///
/// # Errors
/// [`Error::Shape`] for other shapes, [`Error::NonFinite`] for a value that is NaN or infinite.
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
/// As [`rmse`]; [`Error::Target`] if all targets are equal, for which R² is not defined.
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
/// As [`rmse`]; [`Error::Target`] for a target of 0, for which the MAPE is not defined.
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

fn failed(source: TchError) -> Error {
    Error::torch("compute a metric", source)
}
