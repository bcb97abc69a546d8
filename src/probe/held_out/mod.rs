//! What is too dear for every step: measured on held-out batches, when the caller asks.
//!
//! ```text
//! let mut report = trainer.end_epoch()?;
//! report.measurements.extend(Shapley::default().measure(&student, &held_out)?);
//! ```
//!
//! - `shapley.rs`: contribution and conditional utilisation of every modality.
//! - `linear_probe.rs`: what a linear model reads from every frozen encoder.

mod linear_probe;
mod shapley;

use tch::{Device, Kind, Tensor};

pub use linear_probe::LinearProbe;
pub use shapley::{Baseline, Shapley};

use crate::{
    error::{Error, Result},
    metrics,
};

/// What answers are worth: logits or predictions [N, C] and targets, in host memory, to one number;
/// higher is better, so negate an error.
pub type ValueFunction = Box<dyn Fn(&Tensor, &Tensor) -> Result<f64>>;

/// The share of samples whose largest logit is the label's.
fn accuracy() -> ValueFunction {
    Box::new(metrics::accuracy)
}

fn to_host(tensor: &Tensor) -> Result<Tensor> {
    tensor.f_to_device(Device::Cpu).map_err(failed)
}

/// `Double` [n, d] in host memory.
fn flat(features: &Tensor) -> Result<Tensor> {
    let flat = || features.f_flatten(1, -1)?.f_to_device(Device::Cpu)?.f_to_kind(Kind::Double);
    flat().map_err(failed)
}

fn cat(parts: &[Tensor]) -> Result<Tensor> {
    Tensor::f_cat(parts, 0).map_err(failed)
}

fn failed(source: tch::TchError) -> Error {
    Error::torch("measure held-out data", source)
}
