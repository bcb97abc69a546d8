//! Validation logits relative to that of the label.

use tch::{Device, Kind, Tensor};

use crate::error::{self, Error, Result};

/// The margins l_j − l_y [N, C] of logits l over that of the label y, `Double` in host memory. The
/// probability of the label, −log p_y = log Σ_j exp(l_j − l_y), is a function of them.
pub(super) struct Margins(pub Tensor);

impl Margins {
    /// Checks the validation logits [N, C] and labels \[N\] of `what`.
    ///
    /// # Errors
    /// [`Error::Shape`] for other shapes or no sample, [`Error::Kind`] for labels of another dtype,
    /// [`Error::Target`] for a label out of range or a class without a sample, [`Error::NonFinite`] for
    /// logits that are not finite.
    pub(super) fn new(what: &str, logits: &Tensor, targets: &Tensor) -> Result<Self> {
        let (size, labels) = (logits.size(), targets.size());
        if size.len() != 2 || size[1] < 2 || labels != size[..1] || size[0] == 0 {
            let hint = match size.first() {
                Some(0) => "calibrate on data that have samples of every class",
                _ => {
                    "pass the logits and one class label of every sample; several labels per sample have no calibration"
                }
            };
            return Err(error::shape(
                format!("validation logits and labels of {what}"),
                "[N, C] and [N] with N of at least 1 and C of at least 2",
                format!("{size:?} and {labels:?}"),
                hint,
            ));
        }
        if targets.kind() != Kind::Int64 {
            let what = format!("validation labels of {what}");
            let hint = "calibrate on class labels; convert with `to_kind(Kind::Int64)`";
            return Err(error::wrong_kind(what, "Int64 class labels", targets.kind(), hint));
        }
        let (logits, targets) = (to_host(logits)?, targets.f_to_device(Device::Cpu));
        let targets = targets.map_err(failed)?;
        if logits.isfinite().all().int64_value(&[]) == 0 {
            let what = format!("validation logits of {what}");
            let hint = "check the model's weights and its inputs for NaN";
            return Err(error::non_finite(what, "finite numbers", "NaN or infinity", hint));
        }
        check_classes(what, size[1], &targets)?;
        let own = logits.gather(1, &targets.unsqueeze(1), false);
        Ok(Self(logits - own))
    }

    /// Number of classes C.
    pub(super) fn classes(&self) -> f64 {
        self.0.size()[1] as f64
    }

    /// Mean −log p_y of logits divided by `temperature`.
    pub(super) fn nll(&self, temperature: f64) -> f64 {
        mean(&self.surprise(temperature))
    }

    /// p_y \[N\] of logits divided by `temperature`.
    pub(super) fn probability(&self, temperature: f64) -> Tensor {
        (-self.surprise(temperature)).exp()
    }

    /// The derivative of the mean −log p_y as `direction` [N, C] is added to the margins.
    pub(super) fn slope(&self, direction: &Tensor) -> f64 {
        let p = self.0.softmax(1, Kind::Double);
        mean(&(p * direction).sum_dim_intlist(1, false, Kind::Double))
    }

    /// −log p_y \[N\].
    fn surprise(&self, temperature: f64) -> Tensor {
        (&self.0 / temperature).logsumexp(1, false)
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

/// `logits` as `Double` in host memory, without gradient.
pub(super) fn to_host(logits: &Tensor) -> Result<Tensor> {
    let copy = || logits.f_detach()?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double);
    copy().map_err(failed)
}

pub(super) fn mean(values: &Tensor) -> f64 {
    values.mean(Kind::Double).double_value(&[])
}

pub(super) fn failed(source: tch::TchError) -> Error {
    Error::torch("calibrate logits", source)
}
