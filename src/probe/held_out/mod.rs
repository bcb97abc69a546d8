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

use crate::error::{self, Error, Result};
use crate::metrics;

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
