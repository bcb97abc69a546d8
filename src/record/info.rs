//! What is known of a run before it starts.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tch::Device;

use super::Environment;
use crate::{
    error::{self, Result},
    modality::Modality,
    number,
};

/// What is known of a run before it starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its name, for people.
    pub name: String,
    /// When it was started: UTC, as RFC 3339.
    pub created: String,
    /// The modalities, in the student's order.
    pub modalities: Vec<Modality>,
    /// Its settings, an object.
    pub config: serde_json::Value,
    /// What it runs on.
    pub environment: Environment,
    /// What the unimodal teachers reach.
    #[serde(default)]
    pub teachers: Vec<TeacherScores>,
    /// How metrics are to be called.
    #[serde(default)]
    pub labels: Vec<MetricLabel>,
}

/// What the teacher of a modality reaches, by the names of the student's metrics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TeacherScores {
    /// Its modality.
    pub modality: Modality,
    /// Metric and value, such as `val_accuracy`.
    #[serde(with = "number::named")]
    pub scores: Vec<(String, f64)>,
}

/// What a plot or table calls a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricLabel {
    /// The metric's name, without a modality.
    pub metric: String,
    /// Its name for people, such as `validation accuracy`.
    pub title: String,
    /// Its unit, such as `%`; empty for none.
    pub unit: String,
}

impl RunInfo {
    /// A run that starts now, in this process.
    pub fn new(name: impl Into<String>, modalities: &[Modality], device: Device) -> Self {
        Self {
            name: name.into(),
            created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            modalities: modalities.to_vec(),
            config: serde_json::Value::Object(serde_json::Map::new()),
            environment: Environment::here(device),
            teachers: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Its settings: anything that serialises to a JSON object.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for what does not.
    pub fn config(mut self, config: &impl Serialize) -> Result<Self> {
        let refused = |found: String| {
            let hint = "pass a struct or a map with text as keys";
            error::config("the run's config", "what serialises to a JSON object", found, hint)
        };
        self.config = serde_json::to_value(config).map_err(|e| refused(e.to_string()))?;
        if self.config.is_object() { Ok(self) } else { Err(refused(self.config.to_string())) }
    }

    /// Adds what the teacher of `modality` reaches, by the names of the student's metrics.
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

    /// Says how a metric is to be called, and its unit.
    #[must_use]
    pub fn label(mut self, metric: &str, title: &str, unit: &str) -> Self {
        let [metric, title, unit] = [metric, title, unit].map(str::to_owned);
        self.labels.push(MetricLabel { metric, title, unit });
        self
    }
}
