//! The fields of a case.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use g2d::{Batch, StepReport, optim::SgdConfig, paper::networks::FusionKind};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tch::Tensor;

use crate::harness::{case::GoldenDataset, formula};

/// A case, with typed access to its fields.
pub struct Case<'a> {
    value: &'a Value,
    /// The name of its file.
    pub stem: &'a str,
}

impl<'a> Case<'a> {
    pub fn new(value: &'a Value, stem: &'a str) -> Self {
        Self { value, stem }
    }

    pub fn has(&self, key: &str) -> bool {
        !self.value[key].is_null()
    }

    pub fn get<T: Deserialize<'a>>(&self, key: &str) -> Result<T> {
        T::deserialize(&self.value[key]).with_context(|| format!("field {key:?} of the case"))
    }

    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.value.as_object().into_iter().flat_map(Map::keys).map(String::as_str)
    }

    pub fn text(&self, key: &str) -> Result<&'a str> {
        self.get(key)
    }

    pub fn number(&self, key: &str) -> Result<f64> {
        self.get(key)
    }

    pub fn numbers(&self, key: &str) -> Result<BTreeMap<String, f64>> {
        self.get(key)
    }

    /// The steps, updates, epochs or stages of the case.
    pub fn list(&self, key: &str) -> Result<&'a [Value]> {
        Ok(self.value[key].as_array().with_context(|| format!("no list {key:?}"))?)
    }

    pub fn dataset(&self) -> Result<GoldenDataset> {
        self.get("dataset")
    }

    pub fn sgd(&self) -> Result<SgdConfig> {
        let (lr, momentum) = (self.number("lr")?, self.number("momentum")?);
        let weight_decay = self.number("weight_decay")?;
        Ok(SgdConfig { lr, momentum, weight_decay, ..SgdConfig::default() })
    }

    /// The fusion, the first word of its field; concatenation without one.
    pub fn fusion(&self) -> Result<FusionKind> {
        if !self.has("fusion") {
            return Ok(FusionKind::Concat);
        }
        let word = self.text("fusion")?.split([',', ' ']).next().unwrap_or_default();
        Ok(FusionKind::deserialize(json!(word))?)
    }

    /// The batch of step `t`, by the formula.
    pub fn batch(&self, t: usize) -> Result<Batch> {
        if let Some(labels) = self.value["labels"].as_str() {
            ensure!(labels.starts_with("(3 i + t) mod"), "labels {labels:?}");
        }
        formula::batch(self.dataset()?, self.get("batch")?, t)
    }

    /// The steps that a text lists as "t = 0, 1, 2".
    pub fn times(&self, key: &str) -> Result<Vec<usize>> {
        let text = self.text(key)?;
        let list = text.split("t = ").nth(1).with_context(|| format!("{key}: no list t = …"))?;
        let is_listed = |c: char| c.is_ascii_digit() || c == ',' || c == ' ';
        let end = list.find(|c| !is_listed(c)).unwrap_or(list.len());
        let times = list[..end].split(',').map(|t| t.trim().parse::<usize>());
        times.collect::<Result<_, _>>().with_context(|| format!("{key}: {text}"))
    }

    /// The names of parameters in `final_abs_sum`, without their last component, outside the encoders.
    pub fn layers(&self) -> Vec<String> {
        let names = self.value["final_abs_sum"].as_object().into_iter().flat_map(Map::keys);
        let shared = names.filter(|name| {
            !name.starts_with("audio_net.")
                && !name.starts_with("visual_net.")
                && !name.contains(' ')
        });
        let layer = |name: &String| name.rsplit_once('.').map(|(layer, _)| layer.to_owned());
        let mut layers: Vec<String> = shared.filter_map(layer).collect();
        layers.dedup();
        layers
    }
}

/// All numbers in `text`, in their order.
pub fn numbers_in(text: &str) -> Vec<f64> {
    let parts = text.split(|c: char| !(c.is_ascii_digit() || "+-.e".contains(c)));
    parts.filter_map(|part| part.parse().ok()).collect()
}

/// The first row of a tensor, or all of a vector.
pub fn row(tensor: &Tensor) -> Result<Value> {
    let first = if tensor.dim() > 1 { tensor.get(0) } else { tensor.shallow_clone() };
    let numbers: Vec<f64> = first.f_reshape(-1_i64)?.try_into()?;
    Ok(json!(numbers))
}

pub fn scalar(tensor: &Tensor) -> Result<f64> {
    Ok(f64::try_from(tensor)?)
}

/// The value `name` in the report's details; of a modality, if one is given.
pub fn detail<'r>(
    report: &'r StepReport,
    name: &str,
    modality: impl Into<Option<&'r str>>,
) -> Result<&'r Tensor> {
    let modality = modality.into();
    let found = report
        .details
        .iter()
        .find(|d| d.name == name && d.modality.as_ref().map(|m| m.name()) == modality);
    Ok(&found.with_context(|| format!("no detail {name:?} of {modality:?}"))?.value)
}
