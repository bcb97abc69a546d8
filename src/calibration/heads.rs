//! The unimodal logits of a student's predictions.

use tch::{Device, Tensor, kind::DOUBLE_CPU};

use super::margins::{Margins, failed, to_host};
use crate::batch::Rows;
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::trainer::Predictions;

/// The unimodal heads of a student's predictions, `Double` in host memory.
pub(super) struct Heads {
    heads: Vec<Head>,
    /// The shape [N, C] of the fused logits.
    size: Vec<i64>,
}

struct Head {
    modality: Modality,
    /// The samples that have the modality.
    rows: Rows,
    /// Their unimodal logits.
    logits: Tensor,
}

impl Heads {
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) without heads, [`Error::Shape`](crate::Error::Shape) for
    /// unimodal logits of another shape than the fused ones.
    pub(super) fn new(predictions: &Predictions) -> Result<Self> {
        if predictions.heads.is_empty() {
            let expected = "unimodal logits of the student";
            let hint = "implement `Student::unimodal_logits`, or add heads with `heads::WithHeads`";
            return Err(error::config("predictions to calibrate", expected, "none", hint));
        }
        let size = predictions.logits.size();
        let head = |(modality, logits): &(Modality, Tensor)| {
            if logits.size() != size {
                let what = format!("unimodal logits of modality {modality:?}");
                let expected = format!("{size:?}, like the fused logits");
                let hint = "correct `Student::unimodal_logits`";
                return Err(error::wrong_shape(what, expected, &logits.size(), hint));
            }
            let flags = predictions.present.iter().find(|(other, _)| other == modality);
            let rows =
                flags.map(|(_, flags)| Rows::from_present(flags, Device::Cpu)).transpose()?;
            let rows = rows.unwrap_or_default();
            let logits = to_host(&rows.select(logits)?)?;
            Ok(Head { modality: modality.clone(), rows, logits })
        };
        let heads = predictions.heads.iter().map(head).collect::<Result<_>>()?;
        Ok(Self { heads, size })
    }

    /// Refuses another number of heads than `expected`.
    pub(super) fn check(&self, expected: usize) -> Result<()> {
        check_heads(expected, self.heads.len())
    }

    /// Fits each head to the samples that have its modality.
    pub(super) fn fit<T>(&self, targets: &Tensor, fit: impl Fn(&Margins) -> T) -> Result<Vec<T>> {
        let head = |Head { modality, rows, logits }: &Head| {
            let what = format!("the unimodal head of {modality:?}");
            Ok(fit(&Margins::new(&what, logits, &rows.select(targets)?)?))
        };
        self.heads.iter().map(head).collect()
    }

    /// The sum [N, C] of `each` over the heads, for each sample over the modalities that it has.
    pub(super) fn sum(&self, each: impl Fn(usize, &Tensor) -> Tensor) -> Result<Tensor> {
        let mut sum = Tensor::f_zeros(&self.size, DOUBLE_CPU).map_err(failed)?;
        for (m, Head { rows, logits, .. }) in self.heads.iter().enumerate() {
            if !rows.is_missing() {
                let own = rows.spread(each(m, logits), self.size[0])?;
                sum = sum.f_add(&own).map_err(failed)?;
            }
        }
        Ok(sum)
    }
}

/// Refuses another number of heads than `expected`, that of the calibration.
pub(super) fn check_heads(expected: usize, found: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    let hint = "predict with the student that was calibrated";
    let expected = format!("{expected}, as in the calibration");
    Err(error::config("unimodal heads of the predictions", expected, found, hint))
}
