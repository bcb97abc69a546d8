//! Logits and labels, checked.

use tch::{Device, Kind, Tensor};

use crate::error::{self, Error, Result};

/// Logits [N, C] as `Double` in host memory and their labels.
pub(super) struct Labelled {
    pub logits: Tensor,
    /// `Int64` [N, 1].
    labels: Tensor,
}

impl Labelled {
    /// Checks logits and labels that `what` names.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes or no sample, [`Error::Kind`] for labels of another dtype,
    /// [`Error::Target`] for a label out of range or a class without a sample, [`Error::NonFinite`] for
    /// logits that are not finite.
    pub(super) fn new(what: &str, logits: &Tensor, targets: &Tensor) -> Result<Self> {
        let (size, labels) = (logits.size(), targets.size());
        if size.len() != 2 || size[1] < 2 || labels != size[..1] || size[0] == 0 {
            return Err(error::shape(
                format!("validation logits and labels of {what}"),
                "[N, C] and [N] with N of at least 1 and C of at least 2",
                format!("{size:?} and {labels:?}"),
                "calibrate on one class label per sample",
            ));
        }
        if targets.kind() != Kind::Int64 {
            let what = format!("validation labels of {what}");
            let hint = "calibrate on class labels; convert with `to_kind(Kind::Int64)`";
            return Err(error::wrong_kind(what, "Int64 class labels", targets.kind(), hint));
        }
        let host = || logits.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double);
        let (logits, targets) = (host().map_err(failed)?, targets.to_device(Device::Cpu));
        if logits.isfinite().all().int64_value(&[]) == 0 {
            let what = format!("validation logits of {what}");
            let hint = "check the model's weights and its inputs for NaN";
            return Err(error::non_finite(what, "finite numbers", "NaN or infinity", hint));
        }
        check_classes(what, size[1], &targets)?;
        Ok(Self { logits, labels: targets.unsqueeze(1) })
    }

    /// The same labels with other logits of the same shape.
    pub(super) fn with_logits(&self, logits: Tensor) -> Self {
        Self { logits, labels: self.labels.shallow_clone() }
    }

    /// Number of classes C.
    pub(super) fn classes(&self) -> f64 {
        self.logits.size()[1] as f64
    }

    /// The entries \[N\] of `values` [N, C] at the labels.
    pub(super) fn at_labels(&self, values: &Tensor) -> Tensor {
        values.gather(1, &self.labels, false).squeeze_dim(1)
    }

    /// Mean −log softmax(l / t)\[y\].
    pub(super) fn nll(&self, temperature: f64) -> f64 {
        let log_p = (&self.logits / temperature).log_softmax(1, Kind::Double);
        -mean(&self.at_labels(&log_p))
    }
}

/// Refuses labels out of range, and data in which a class has no sample.
fn check_classes(what: &str, classes: i64, targets: &Tensor) -> Result<()> {
    let what = format!("validation labels of {what}");
    let labels: Vec<i64> = targets.try_into().map_err(failed)?;
    let mut seen = vec![false; classes as usize];
    for label in labels {
        match usize::try_from(label).ok().and_then(|label| seen.get_mut(label)) {
            Some(seen) => *seen = true,
            None => {
                let expected = format!("classes 0..{classes}, the width of the logits");
                let hint = "check the labels and the width of the last layer";
                return Err(error::target(what, expected, label, hint));
            }
        }
    }
    match seen.iter().position(|seen| !seen) {
        None => Ok(()),
        Some(missing) => {
            let expected = format!("at least one sample of each of {classes} classes");
            let found = format!("none of class {missing}");
            let hint = "validate on a sample of all classes, for example a stratified one";
            Err(error::target(what, expected, found, hint))
        }
    }
}

pub(super) fn mean(values: &Tensor) -> f64 {
    values.mean(Kind::Double).double_value(&[])
}

pub(super) fn failed(source: tch::TchError) -> Error {
    Error::torch("calibrate on validation data", source)
}
