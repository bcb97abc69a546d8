//! Checked logits and targets of a classification.

use tch::{Device, Kind, Tensor};

use super::{HINT, failed};
use crate::error::{self, Result};
use crate::transfer;

/// Logits [N, C] with their targets, checked and in host memory.
pub(super) struct Labelled {
    pub(super) logits: Tensor,
    pub(super) truth: Truth,
}

/// The targets.
pub(super) enum Truth {
    /// Class labels \[N\] in `0..C`.
    Classes(Tensor),
    /// For each label whether it is set, `Bool` [N, C].
    Sets(Tensor),
}

impl Labelled {
    pub(super) fn new(logits: &Tensor, targets: &Tensor) -> Result<Self> {
        let (size, labels) = (logits.size(), targets.size());
        let fits = labels == size.get(..1).unwrap_or_default() || labels == size;
        if size.len() != 2 || size.contains(&0) || !fits {
            let hint = match labels.get(1) {
                Some(0) => "these predictions have no targets: `predict` returns none",
                _ => "pass one class label per sample, or zeros and ones for every label",
            };
            return Err(error::shape(
                "logits and targets",
                "[N, C] and [N], or [N, C] twice, with N and C of at least 1",
                format!("{size:?} and {labels:?}"),
                hint,
            ));
        }
        let truth = if labels.len() == 1 {
            Truth::Classes(classes(size[1], targets)?)
        } else {
            Truth::Sets(sets(targets)?)
        };
        if let Some(row) = transfer::first_non_finite_row(logits)? {
            let found = format!("NaN or infinity in row {row}");
            return Err(error::non_finite("logits", "finite values", found, HINT));
        }
        Ok(Self { logits: transfer::to_host(logits)?, truth })
    }

    /// As [`new`](Self::new), for a `metric` that is for class labels alone.
    pub(super) fn classes(
        metric: &str,
        logits: &Tensor,
        targets: &Tensor,
    ) -> Result<(Self, Tensor)> {
        let labelled = Self::new(logits, targets)?;
        match &labelled.truth {
            Truth::Classes(labels) => {
                let labels = labels.shallow_clone();
                Ok((labelled, labels))
            }
            Truth::Sets(_) => {
                let expected = format!("[N], since the {metric} is for one class label per sample");
                let hint = "several labels per sample have `class_counts` instead";
                Err(error::wrong_shape("targets", expected, &targets.size(), hint))
            }
        }
    }

    /// Number of classes C.
    pub(super) fn width(&self) -> usize {
        self.logits.size()[1] as usize
    }

    /// The class with the largest logit of every row, the first of equals.
    pub(super) fn predicted_classes(&self) -> Result<Tensor> {
        self.logits.f_argmax(1, false).map_err(failed)
    }

    /// For each label whether it is predicted, `Bool` [N, C].
    pub(super) fn predicted_sets(&self) -> Tensor {
        self.logits.gt(0.0)
    }
}

/// Class labels in `0..classes`, in host memory.
fn classes(classes: i64, targets: &Tensor) -> Result<Tensor> {
    if targets.kind() != Kind::Int64 {
        let hint = "convert with `to_kind(Kind::Int64)`";
        return Err(error::wrong_kind("targets", "Int64 class labels", targets.kind(), hint));
    }
    let targets = targets.f_to_device(Device::Cpu).map_err(failed)?;
    let [least, largest] = [targets.min(), targets.max()].map(|label| label.int64_value(&[]));
    if least >= 0 && largest < classes {
        return Ok(targets);
    }
    let found = if least < 0 { least } else { largest };
    let hint = if least < 0 {
        "check the labels; leave out rows to ignore with `Predictions::labelled`"
    } else {
        "check the labels and the width of the last layer"
    };
    let expected = format!("classes 0..{classes}, the width of the logits");
    Err(error::target("targets", expected, found, hint))
}

/// Zeros and ones as `Bool`, in host memory.
fn sets(targets: &Tensor) -> Result<Tensor> {
    if !targets.is_floating_point() {
        let expected = "zeros and ones of a floating-point dtype for [N, C]";
        let hint = "convert with `to_kind(Kind::Float)`, or pass one class label per sample";
        return Err(error::wrong_kind("targets", expected, targets.kind(), hint));
    }
    let targets = targets.f_detach().and_then(|y| y.f_to_device(Device::Cpu)).map_err(failed)?;
    let set = targets.eq(1.0);
    if set.logical_or(&targets.eq(0.0)).all().int64_value(&[]) == 0 {
        let hint = "pass `targets.argmax(1, false)` for rows of class probabilities";
        return Err(error::target("targets", "zeros and ones", "another value", hint));
    }
    Ok(set)
}

/// The elements of a `Bool` tensor.
pub(super) fn flags(tensor: &Tensor) -> Result<Vec<bool>> {
    let flags = || Vec::<u8>::try_from(tensor.f_flatten(0, -1)?.f_to_kind(Kind::Uint8)?);
    Ok(flags().map_err(failed)?.into_iter().map(|flag| flag != 0).collect())
}

/// The elements of an `Int64` tensor of numbers ≥ 0.
pub(super) fn indices(tensor: &Tensor) -> Result<Vec<usize>> {
    let values = Vec::<i64>::try_from(tensor).map_err(failed)?;
    Ok(values.into_iter().map(|value| value as usize).collect())
}

/// The mean of the elements as `f64`.
pub(super) fn mean(values: &Tensor) -> Result<f64> {
    let mean = || values.f_to_kind(Kind::Double)?.f_mean(None);
    Ok(mean().map_err(failed)?.double_value(&[]))
}
