//! The checks of a classification's targets.

use tch::{Device, Kind, Tensor};

use crate::error::{self, Result};
use crate::libtorch;

/// Refuses the targets [B, 0] of a batch without targets.
pub(super) fn check_any(targets: &Tensor) -> Result<()> {
    if targets.size().get(1) != Some(&0) {
        return Ok(());
    }
    let hint = "make the batch with `Batch::new`; only `predict` takes batches without targets";
    Err(error::wrong_shape("targets", "the targets of the batch", &targets.size(), hint))
}

/// Checks targets of [`Labels::Single`](super::Labels); their values on the CPU alone.
pub(super) fn check_classes(
    [rows, classes]: [i64; 2],
    targets: &Tensor,
    ignore_index: Option<i64>,
) -> Result<()> {
    let size = targets.size();
    if targets.kind() != Kind::Int64 {
        let hint = match size == [rows, classes] && targets.is_floating_point() {
            true => {
                "set `labels` to `Labels::Soft` for rows of probabilities or one-hot rows, to \
                     `Labels::Multi` for several labels per sample; else pass class indices, and convert"
            }
            false => "convert with `to_kind(Kind::Int64)`",
        };
        return Err(error::wrong_kind("targets", "Int64 class labels", targets.kind(), hint));
    }
    if size != [rows] {
        let expected = format!("[{rows}], one class per sample");
        let hint = match size[..] {
            [found, 1] if found == rows => "remove the last dimension with `squeeze_dim(1)`",
            [found, c] if found == rows && c == classes => {
                "pass the index of the class, `argmax(1, false)` of one-hot rows"
            }
            _ => "pass one class label for every row of the logits",
        };
        return Err(error::wrong_shape("targets", expected, &size, hint));
    }
    if targets.device() == Device::Cpu {
        let labels = libtorch::integers(targets)?;
        let is_legal = |label: &i64| (0..classes).contains(label) || Some(*label) == ignore_index;
        if let Some(label) = labels.iter().find(|label| !is_legal(label)) {
            let expected = match ignore_index {
                None => format!("classes 0..{classes}, the width of the logits"),
                Some(ignored) => format!("classes 0..{classes}, or {ignored} to ignore"),
            };
            let hint = match ignore_index {
                None if *label < 0 => {
                    "check the labels, or set `ignore_index` for rows without one"
                }
                _ => "check the labels and the width of the last layer",
            };
            return Err(error::target("targets", expected, label, hint));
        }
    }
    Ok(())
}

/// Checks targets of [`Labels::Multi`](super::Labels); their values on the CPU alone.
pub(super) fn check_sets(size: [i64; 2], targets: &Tensor) -> Result<()> {
    check_matrix(
        size,
        targets,
        "zeros and ones",
        "pass one 0 or 1 for every label of every sample",
    )?;
    // A value that is not finite is accepted here: the trainer's policy applies to the loss.
    let valid = || {
        let binary = targets.eq(0.0).logical_or(&targets.eq(1.0));
        binary.logical_or(&targets.isfinite().logical_not()).all().int64_value(&[]) == 1
    };
    if targets.device() == Device::Cpu && !valid() {
        let hint = "set `labels` to `Labels::Soft` if the rows are probabilities of classes; else \
                    threshold the values";
        return Err(error::target("targets", "zeros and ones", "another value", hint));
    }
    Ok(())
}

/// Checks targets of [`Labels::Soft`](super::Labels); their values on the CPU alone.
pub(super) fn check_probabilities(size: [i64; 2], targets: &Tensor) -> Result<()> {
    check_matrix(size, targets, "probabilities", "pass the probability of every class")?;
    let valid = || {
        // Of rows that a softmax has computed in single precision.
        let sums = targets.sum_dim_intlist([1_i64].as_slice(), false, Kind::Double);
        let is_distribution = targets
            .amin([1_i64].as_slice(), false)
            .ge(0.0)
            .logical_and(&(sums - 1.0).abs().le(1e-4));
        let is_not_finite = targets.isfinite().all_dim(1, false).logical_not();
        is_distribution.logical_or(&is_not_finite).all().int64_value(&[]) == 1
    };
    if targets.device() == Device::Cpu && !valid() {
        let expected = "rows of numbers ≥ 0 that sum to 1";
        let hint =
            "divide each row by its sum, or set `labels` to `Labels::Multi` for several labels";
        return Err(error::target("targets", expected, "another row", hint));
    }
    Ok(())
}

/// Refuses targets other than `Float` or `Double` [B, C].
fn check_matrix(size: [i64; 2], targets: &Tensor, values: &str, hint: &str) -> Result<()> {
    let [rows, classes] = size;
    if !matches!(targets.kind(), Kind::Float | Kind::Double) {
        let expected = format!("Float or Double {values}");
        let hint = match targets.size() == [rows] {
            true => "set `labels` to `Labels::Single` for one class per sample",
            false => "convert with `to_kind(Kind::Float)`",
        };
        return Err(error::wrong_kind("targets", expected, targets.kind(), hint));
    }
    if targets.size() != size {
        let expected = format!("[{rows}, {classes}] like the logits");
        return Err(error::wrong_shape("targets", expected, &targets.size(), hint));
    }
    Ok(())
}
