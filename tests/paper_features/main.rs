//! Tests of the paper's second setup in one binary: pictures, tables and sequences.
//!
//! - `metrics.rs`: regression's measures against NumPy.
//! - `standardise.rs`: learnt from training data alone; missing values; JSON.
//! - `tables.rs`: CSV and XLSX, and their refusals.
//! - `image_tables.rs`: MIS-ME's and Houses' layouts, and damaged pictures.
//! - `features.rs`: pre-extracted features, lengths and masks among them.
//! - `networks.rs`: shapes, fusions, learning, ImageNet weights.
#![cfg(feature = "paper")]

#[path = "../common/mod.rs"]
mod common;
mod features;
mod image_tables;
mod metrics;
mod networks;
mod standardise;
mod tables;

use tch::{Kind, Tensor};

/// The message of an error.
fn message<T: std::fmt::Debug>(result: g2d::Result<T>) -> String {
    result.unwrap_err().to_string()
}

/// Values of a tensor, flattened.
fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double).reshape([-1])).unwrap()
}

/// Are all values within 1e-6 of the expected ones?
fn assert_close(tensor: &Tensor, expected: &[f64]) {
    let found = values(tensor);
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-6;
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?}");
}
