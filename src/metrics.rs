//! Measures of a prediction against its targets.

use tch::{Kind, Tensor};

use crate::{Error, Result, error};

/// Share of rows of `logits` [N, C] whose largest entry is at the label in `targets` [N], in [0, 1].
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
