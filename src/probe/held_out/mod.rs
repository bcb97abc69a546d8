//! Measures of modality imbalance on held-out data, taken when the caller requests them.
//!
//! - [`Shapley`]: contribution and utilisation rate of every modality.
//! - [`LinearProbe`]: what a linear model predicts from the features of every frozen encoder.
//!
//! ```text
//! let mut report = trainer.end_epoch()?;
//! report.measurements.extend(Shapley::default().measure(&student, &held_out)?);
//! ```

mod baseline;
mod linear_probe;
mod shapley;

use std::fmt::Display;

use tch::{Device, Kind, TchError, Tensor};

pub use baseline::Baseline;
pub use linear_probe::LinearProbe;
pub use shapley::Shapley;

use crate::batch::Batch;
use crate::error::{self, Error, Result};
use crate::metrics;
use crate::modality::Modality;
use crate::transfer;

/// The value of a model's predictions: a function of logits or predictions [N, C] and targets, both in
/// host memory. A higher value is better, so negate an error.
pub type ValueFunction = Box<dyn Fn(&Tensor, &Tensor) -> Result<f64>>;

/// The default [`ValueFunction`].
fn accuracy() -> ValueFunction {
    Box::new(metrics::accuracy)
}

fn to_host(tensor: &Tensor) -> Result<Tensor> {
    tensor.f_to_device(Device::Cpu).map_err(failed)
}

/// Features as `Double` [n, d] in host memory.
fn flat(features: &Tensor) -> Result<Tensor> {
    let flat = || features.f_flatten(1, -1)?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double);
    flat().map_err(failed)
}

/// Refuses features [n, …] of modality `m` that do not have one row per sample, or have no element.
fn check_features(features: &Tensor, modality: &Modality, batch: &Batch) -> Result<()> {
    let (size, rows) = (features.size(), batch.size());
    if size.len() >= 2 && size[0] == rows && !size.contains(&0) {
        return Ok(());
    }
    let what = format!("features of modality {modality:?}");
    let expected = format!("[{rows}, d, …], one row per sample");
    Err(error::wrong_shape(what, expected, &size, "check the output of the model"))
}

/// Refuses values [n, …], described by `what`, that are not finite.
fn check_finite(what: impl Display, values: &Tensor) -> Result<()> {
    let Some(row) = transfer::first_non_finite_row(values)? else { return Ok(()) };
    let found = format!("NaN or infinity in row {row}");
    let hint = "check the student's weights and inputs for NaN";
    Err(error::non_finite(what, "finite values", found, hint))
}

fn cat(parts: &[Tensor]) -> Result<Tensor> {
    Tensor::f_cat(parts, 0).map_err(failed)
}

fn failed(source: TchError) -> Error {
    Error::torch("measure held-out data", source)
}

/// No held-out sample has what the measure needs.
fn no_sample(needed: impl Display) -> Error {
    let expected = format!("at least one sample that has {needed}");
    error::config("held-out batches", expected, "none", "pass complete samples")
}
