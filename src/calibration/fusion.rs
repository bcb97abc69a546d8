//! Late fusion with weights.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor, nn};

use crate::batch::Rows;
use crate::error::{self, Error, Result};

/// The weights w_m of a late fusion z = Σ_m w_m z_m: at least 0, with the sum 1, in the student's order.
///
/// Calibrated weights ([`Calibration::fusion_weights`](super::Calibration::fusion_weights)) are fixed
/// before the student is trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct FusionWeights(Vec<f64>);

impl FusionWeights {
    /// Weights in the ratio of `weights`; those whose sum is 1 are kept.
    ///
    /// # Errors
    /// [`Error::Config`] for a weight that is negative or not finite, and without one above 0.
    pub fn new(weights: impl Into<Vec<f64>>) -> Result<Self> {
        let weights = weights.into();
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|w| *w < 0.0) || !sum.is_finite() || sum <= 0.0 {
            let expected = "finite numbers ≥ 0, at least one of them above 0";
            return Err(error::out_of_range("fusion weights", expected, format!("{weights:?}")));
        }
        if (sum - 1.0).abs() < 1e-12 {
            return Ok(Self(weights)); // up to rounding, so that weights from a file are the same
        }
        Ok(Self(weights.into_iter().map(|w| w / sum).collect()))
    }

    /// Weights in the inverse ratio of validation errors, such as the mean squared errors of a
    /// regression's teachers.
    ///
    /// # Errors
    /// [`Error::Config`] for an error that is not a finite number above 0.
    pub fn from_errors(errors: impl Into<Vec<f64>>) -> Result<Self> {
        let errors = errors.into();
        if let Some(found) = errors.iter().find(|e| !(e.is_finite() && **e > 0.0)) {
            return Err(error::out_of_range("validation errors", "finite numbers > 0", found));
        }
        Self::new(errors.into_iter().map(f64::recip).collect::<Vec<_>>())
    }

    /// The weights, in the student's order.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The weights as a `Float` tensor \[k\] on `device`.
    pub fn tensor(&self, device: Device) -> Tensor {
        Tensor::from_slice(&self.0).to_kind(Kind::Float).to_device(device)
    }

    /// Registers the weights as the buffer `fusion_weights` of `path`, which weights files and snapshots
    /// contain. Pass the returned tensor \[k\] to [`late_fusion`].
    pub fn register(&self, path: &nn::Path<'_>) -> Tensor {
        let mut buffer = path.zeros_no_train("fusion_weights", &[self.0.len() as i64]);
        tch::no_grad(|| buffer.copy_(&self.tensor(path.device())));
        buffer
    }
}

impl TryFrom<Vec<f64>> for FusionWeights {
    type Error = Error;

    fn try_from(weights: Vec<f64>) -> Result<Self> {
        Self::new(weights)
    }
}

impl From<FusionWeights> for Vec<f64> {
    fn from(weights: FusionWeights) -> Self {
        weights.0
    }
}

/// z = Σ_m w_m z_m of unimodal logits z_m [B, C] and weights w \[k\] with the sum 1 on their device,
/// where `rows[m]` are the samples that have modality `m`, and a sample's weights are divided by the sum of
/// those of the modalities that it has. A sample whose modalities all have the weight 0 gets zeros.
///
/// In the dtype of the logits and connected to their graph; does not synchronise with the device.
///
/// # Errors
/// [`Error::Shape`] unless there are k logits of one shape, k weights and k rows; [`Error::Config`] if no
/// sample has a modality.
pub fn late_fusion(weights: &Tensor, logits: &[Tensor], rows: &[Rows]) -> Result<Tensor> {
    let shapes: Vec<_> = logits.iter().map(Tensor::size).collect();
    let k = shapes.len();
    let legal = k > 0 && shapes[0].len() == 2 && shapes.iter().all(|shape| *shape == shapes[0]);
    if !legal || weights.size() != [k as i64] || rows.len() != k {
        return Err(error::shape(
            "late fusion",
            "k logits [B, C], weights [k] and k rows",
            format!("logits {shapes:?}, weights {:?}, {} rows", weights.size(), rows.len()),
            "pass the unimodal logits of all modalities",
        ));
    }
    let sum = weighted_sum(weights, logits, rows)?;
    if rows.iter().all(|rows| matches!(rows, Rows::All)) {
        return Ok(sum);
    }
    let one = logits[0].f_detach()?.f_narrow(1, 0, 1)?.f_ones_like()?;
    let ones: Vec<_> = logits.iter().map(|_| one.shallow_clone()).collect();
    let share = weighted_sum(weights, &ones, rows)?;
    let divisor = share.f_add(&share.f_eq(0.0)?)?; // 1 where the share is 0
    Ok(sum.f_div(&divisor)?)
}

/// Σ_m w_m v_m of values v_m [B, …], each over the rows that have modality m.
fn weighted_sum(weights: &Tensor, values: &[Tensor], rows: &[Rows]) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (m, (values, rows)) in (0..).zip(values.iter().zip(rows)) {
        if rows.is_missing() {
            continue;
        }
        let own = rows.select(values)?.f_mul(&weights.f_select(0, m)?)?;
        let own = rows.spread(own, values.size()[0])?;
        sum = Some(match sum {
            None => own,
            Some(sum) => sum.f_add(&own)?,
        });
    }
    sum.ok_or_else(|| {
        let hint = "leave out samples that have no modality";
        error::config("late fusion", "a sample that has a modality", "none", hint)
    })
}
