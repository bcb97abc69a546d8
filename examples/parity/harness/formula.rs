//! Weights and inputs, by the formula in the README of the golden cases.

use anyhow::{Result, ensure};
use g2d::Batch;
use tch::{Tensor, nn::VarStore};

use super::case::GoldenDataset;

/// `n` values in [-1, 1), a function of `name`.
pub fn u(name: &str, n: usize) -> Vec<f64> {
    let start = name
        .bytes()
        .fold(2_166_136_261_u32, |x, byte| (x ^ u32::from(byte)).wrapping_mul(16_777_619));
    let value = |i: usize| {
        let mut z = start.wrapping_add(i as u32);
        z ^= z >> 16;
        z = z.wrapping_mul(0x85eb_ca6b);
        z ^= z >> 13;
        z = z.wrapping_mul(0xc2b2_ae35);
        z ^= z >> 16;
        f64::from(z) / 2_f64.powi(32) * 2.0 - 1.0
    };
    (0..n).map(value).collect()
}

pub fn tensor(name: &str, shape: &[i64]) -> Result<Tensor> {
    let n: i64 = shape.iter().product();
    Ok(Tensor::from_slice(&u(name, n as usize)).f_reshape(shape)?)
}

/// Sets the parameters and buffers of `vs`, as parts of the network `net`.
pub fn fill(vs: &VarStore, net: &str) -> Result<()> {
    fill_as(vs, net, |key| Some(key.to_owned()))
}

/// [`fill`] for a network whose variables have other names there; those without a name keep their values.
pub fn fill_as(vs: &VarStore, net: &str, name: impl Fn(&str) -> Option<String>) -> Result<()> {
    let _no_grad = tch::no_grad_guard();
    for (own, mut variable) in vs.variables() {
        let Some(key) = name(&own) else { continue };
        let shape = variable.size();
        let values = || tensor(&format!("{net}/{key}"), &shape);
        let fan_in = shape.iter().skip(1).product::<i64>() as f64;
        let is_norm = key.contains("bn") || key.contains("downsample.1");
        let value = match (shape.len(), key.rsplit('.').next()) {
            (1, Some("running_mean")) => variable.zeros_like(),
            (1, Some("running_var")) => variable.ones_like(),
            (1, Some("weight")) if is_norm => values()? * 0.1 + 1.0,
            (1, _) => values()? * 0.1,
            (2, _) => values()? * (0.5 * (3.0 / fan_in).sqrt()),
            (4, _) => values()? * (3.0 / fan_in).sqrt(),
            _ => anyhow::bail!("{key} {shape:?}: the formula is defined for 1, 2 and 4 dimensions"),
        };
        ensure!(value.size() == shape, "{key}: expected {shape:?}, found {:?}", value.size());
        variable.f_copy_(&value)?;
    }
    Ok(())
}

/// The batch of `size` samples of step `t`. No two steps share an id.
pub fn batch(dataset: GoldenDataset, size: i64, t: usize) -> Result<Batch> {
    let input = |name: &str, sample: &[i64]| {
        let shape: Vec<i64> = [size].into_iter().chain(sample.iter().copied()).collect();
        tensor(&format!("input/{name}/{t}"), &shape)
    };
    let [audio, visual] = dataset.shapes();
    let inputs = [input("audio", &audio)?, input("visual", &visual)?];
    let (t, classes) = (t as i64, dataset.classes());
    let labels: Vec<i64> = (0..size).map(|i| (3 * i + t) % classes).collect();
    let ids: Vec<i64> = (0..size).map(|i| t * size + i).collect();
    Ok(Batch::new(inputs, Tensor::from_slice(&labels)).with_ids(ids))
}
