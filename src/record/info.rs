//! The description of a run.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tch::Device;

use super::Environment;
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::number;

/// The description of a run, known before it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Display name of the run.
    pub name: String,
    /// Start of the run: UTC, as RFC 3339.
    pub created: String,
    /// The modalities, in the student's order.
    pub modalities: Vec<Modality>,
    /// The settings of the run, a JSON object.
    pub config: Json,
    /// The software and hardware of the run.
    pub environment: Environment,
    /// The metrics of the unimodal teachers.
    #[serde(default)]
    pub teachers: Vec<TeacherScores>,
    /// What the run is compared with beside the teachers, such as their ensemble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferenceScores>,
    /// Labels of metrics in plots and tables.
    #[serde(default)]
    pub labels: Vec<MetricLabel>,
}

/// The metrics of a prediction that a run is compared with, such as the ensemble of the teachers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReferenceScores {
    /// Display name.
    pub name: String,
    /// Metrics by the names of the student's, such as `val_accuracy`.
    #[serde(with = "number::named")]
    pub scores: Vec<(String, f64)>,
}

/// The metrics of the teacher of a modality.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeacherScores {
    /// The modality.
    pub modality: Modality,
    /// Metrics by the names of the student's, such as `val_accuracy`.
    #[serde(with = "number::named")]
    pub scores: Vec<(String, f64)>,
}

/// The label of a metric in plots and tables.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricLabel {
    /// Name of the metric, without a modality.
    pub metric: String,
    /// Display name, such as `validation accuracy`.
    pub title: String,
    /// Unit, such as `%`; may be empty.
    pub unit: String,
}

impl RunInfo {
    /// The description of a run that starts now in this process.
    pub fn new(name: impl Into<String>, modalities: &[Modality], device: Device) -> Self {
        Self {
            name: name.into(),
            created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            modalities: modalities.to_vec(),
            config: Json::Object(serde_json::Map::new()),
            environment: Environment::here(device),
            teachers: Vec::new(),
            references: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Sets the settings to any value that serialises to a JSON object.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for another value.
    pub fn config(mut self, config: &impl Serialize) -> Result<Self> {
        let refused = |found: String| {
            let hint = "pass a struct or a map with text as keys";
            error::config("config of the run", "a value that serialises to an object", found, hint)
        };
        self.config = serde_json::to_value(config).map_err(|e| refused(e.to_string()))?;
        if self.config.is_object() { Ok(self) } else { Err(refused(self.config.to_string())) }
    }

    /// Adds the metrics of the teacher of `modality`, by the names of the student's metrics.
    #[must_use]
    pub fn teacher<S: Into<String>>(
        mut self,
        modality: impl Into<Modality>,
        scores: impl IntoIterator<Item = (S, f64)>,
    ) -> Self {
        let scores = scores.into_iter().map(|(name, value)| (name.into(), value)).collect();
        self.teachers.push(TeacherScores { modality: modality.into(), scores });
        self
    }

    /// Adds the metrics of a prediction that the run is compared with, by the names of the student's
    /// metrics.
    #[must_use]
    pub fn reference<S: Into<String>>(
        mut self,
        name: impl Into<String>,
        scores: impl IntoIterator<Item = (S, f64)>,
    ) -> Self {
        let scores = scores.into_iter().map(|(name, value)| (name.into(), value)).collect();
        self.references.push(ReferenceScores { name: name.into(), scores });
        self
    }

    /// Adds the display name and the unit of a metric.
    #[must_use]
    pub fn label(mut self, metric: &str, title: &str, unit: &str) -> Self {
        let [metric, title, unit] = [metric, title, unit].map(str::to_owned);
        self.labels.push(MetricLabel { metric, title, unit });
        self
    }

    /// Returns the settings as a flat list, with names such as `optimizer.lr` for nested objects.
    pub fn flat_config(&self) -> Vec<(String, &Json)> {
        let mut flat = Vec::new();
        flatten(String::new(), &self.config, &mut flat);
        flat
    }
}

fn flatten<'a>(path: String, value: &'a Json, flat: &mut Vec<(String, &'a Json)>) {
    let Json::Object(fields) = value else { return flat.push((path, value)) };
    for (name, field) in fields {
        let separator = if path.is_empty() { "" } else { "." };
        flatten(format!("{path}{separator}{name}"), field, flat);
    }
}
