//! The description of a run.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use tch::Device;

use super::{Environment, JudgedBy};
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::number;
use crate::step::Measurement;

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
    /// The metric by which the run is diagnosed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_by: Option<JudgedBy>,
    /// Linear probes of the encoders before training.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untrained: Vec<Measurement>,
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
    /// Mean ρ of the teacher on the training data, for a run whose reports have none.
    #[serde(default, with = "number", skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
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
            judged_by: None,
            untrained: Vec::new(),
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

    /// Sets the metric by which [`Run::diagnose`](super::Run::diagnose) judges the run, such as a
    /// [`RunMetric`](super::RunMetric), and the labels of the metric on validation and test data.
    #[must_use]
    pub fn judged_by(mut self, metric: impl Into<JudgedBy>) -> Self {
        let judged_by = metric.into();
        let labels = judged_by.labels();
        self.judged_by = Some(judged_by);
        labels.into_iter().fold(self, |info, [metric, title, unit]| {
            let known = info.labels.iter().any(|label| label.metric == metric);
            if known { info } else { info.label(&metric, &title, &unit) }
        })
    }

    /// Adds the metrics of the teacher of `modality`, by the names of the student's metrics.
    #[must_use]
    pub fn teacher<S: Into<String>>(
        mut self,
        modality: impl Into<Modality>,
        scores: impl IntoIterator<Item = (S, f64)>,
    ) -> Self {
        let scores = scores.into_iter().map(|(name, value)| (name.into(), value));
        self.teacher_entry(modality.into()).scores.extend(scores);
        self
    }

    /// Adds the mean ρ of the teacher of `modality` on the training data, for a run without teachers: the
    /// reports of a run with teachers have it.
    #[must_use]
    pub fn teacher_confidence(mut self, modality: impl Into<Modality>, confidence: f64) -> Self {
        self.teacher_entry(modality.into()).confidence = Some(confidence);
        self
    }

    fn teacher_entry(&mut self, modality: Modality) -> &mut TeacherScores {
        let known = self.teachers.iter().position(|teacher| teacher.modality == modality);
        let index = known.unwrap_or_else(|| {
            self.teachers.push(TeacherScores { modality, scores: Vec::new(), confidence: None });
            self.teachers.len() - 1
        });
        &mut self.teachers[index]
    }

    /// Sets the [`LinearProbe`](crate::probe::held_out::LinearProbe)s of the encoders before training. A
    /// diagnosis takes from them how much of a probe after training is learned.
    #[must_use]
    pub fn untrained(mut self, measurements: Vec<Measurement>) -> Self {
        self.untrained = measurements;
        self
    }

    /// Adds the metrics of a prediction that the run is compared with, by the names of the student's
    /// metrics. `name` has no article, such as `calibrated ensemble`: a diagnosis writes "the {name}".
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

    /// Sets the display name and the unit of a metric.
    #[must_use]
    pub fn label(mut self, metric: &str, title: &str, unit: &str) -> Self {
        self.labels.retain(|label| label.metric != metric);
        let [metric, title, unit] = [metric, title, unit].map(str::to_owned);
        self.labels.push(MetricLabel { metric, title, unit });
        self
    }

    /// The unit of a metric; empty without one.
    pub(super) fn unit(&self, metric: &str) -> &str {
        let label = self.labels.iter().find(|label| label.metric == metric);
        label.map_or("", |label| &label.unit)
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
