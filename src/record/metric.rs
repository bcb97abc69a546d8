//! The metric by which a run is judged.

use std::fmt;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::diagnosis::{Better, Metric};
use crate::error::Result;
use crate::metrics;
use crate::modality::Modality;
use crate::trainer::Predictions;

/// The name and the chance level of the metric by which a run is diagnosed, as in its files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedBy {
    /// The name of the fused model's metric on validation data, such as `val_accuracy`. That of the head of
    /// modality m is `val_accuracy_m`.
    pub name: String,
    /// Its direction and its chance level.
    pub metric: Metric,
}

/// A metric of predictions, computed and named as reports and diagnoses read it.
///
/// A share, such as an accuracy, is recorded in percent.
///
/// # Example
/// ```
/// use g2d::{metrics, diagnosis, record::RunMetric, trainer::Predictions};
/// use tch::Tensor;
///
/// let logits = Tensor::from_slice2(&[[2.0, 1.0], [0.0, 3.0], [1.0, 4.0], [0.0, 1.0]]);
/// let targets = Tensor::from_slice(&[0_i64, 1, 0, 1]);
/// let heads = vec![("audio".into(), logits.shallow_clone())];
/// let found = Predictions { heads, ..Predictions::new(logits, targets) };
/// let accuracy = RunMetric::accuracy(2);
/// assert_eq!(
///     accuracy.scores("val", &found)?,
///     [("val_accuracy".to_owned(), 75.0), ("val_accuracy_audio".to_owned(), 75.0)],
/// );
/// let rmse = RunMetric::new("rmse", diagnosis::Metric::error("RMSE", 1.5), metrics::rmse);
/// # let _ = rmse;
/// # Ok::<(), g2d::Error>(())
/// ```
pub struct RunMetric {
    key: String,
    metric: Metric,
    function: Box<Function>,
}

/// The value of logits [N, C] and targets.
type Function = dyn Fn(&Tensor, &Tensor) -> Result<f64>;

impl RunMetric {
    /// The metric called `key` in files, which `function` computes from logits [N, C] and targets: a share
    /// in [0, 1] for [`Better::HighShare`].
    pub fn new(
        key: impl Into<String>,
        metric: Metric,
        function: impl Fn(&Tensor, &Tensor) -> Result<f64> + 'static,
    ) -> Self {
        Self { key: key.into(), metric, function: Box::new(function) }
    }

    /// The accuracy over `classes` classes of equal size, called `accuracy`.
    pub fn accuracy(classes: u32) -> Self {
        Self::new("accuracy", Metric::accuracy(classes), metrics::accuracy)
    }

    /// The name and the value of the metric for logits or predictions [N, C] on a split, such as "val":
    /// `val_accuracy`.
    ///
    /// # Errors
    /// Any error of the metric.
    pub fn score(&self, split: &str, logits: &Tensor, targets: &Tensor) -> Result<(String, f64)> {
        let value = (self.function)(logits, targets)?;
        let factor = if is_share(&self.metric) { 100.0 } else { 1.0 };
        Ok((self.name(split), value * factor))
    }

    /// The names and values of the metric on a split: of the fused model or of a teacher, and of each
    /// unimodal head over the samples that have its modality.
    ///
    /// # Errors
    /// Any error of the metric.
    pub fn scores(&self, split: &str, predictions: &Predictions) -> Result<Vec<(String, f64)>> {
        let mut scores = vec![self.score(split, &predictions.logits, &predictions.targets)?];
        let own = |logits: &Tensor, targets: &Tensor| Ok(self.score(split, logits, targets)?.1);
        for (modality, value) in predictions.head_metric(own)? {
            scores.push((head_name(&self.name(split), &modality), value));
        }
        Ok(scores)
    }

    /// The name of the metric on a split.
    fn name(&self, split: &str) -> String {
        format!("{split}_{}", self.key)
    }
}

impl From<&RunMetric> for JudgedBy {
    /// Judges by the metric on the split "val".
    fn from(metric: &RunMetric) -> Self {
        Self { name: metric.name("val"), metric: metric.metric.clone() }
    }
}

impl JudgedBy {
    /// Names, titles and units of the metric on validation and test data.
    pub(super) fn labels(&self) -> Vec<[String; 3]> {
        let unit = if is_share(&self.metric) { "%" } else { "" };
        let own = &self.metric.name;
        let label = |name: String, title: &str| [name, format!("{title} {own}"), unit.to_owned()];
        match self.name.strip_prefix("val_") {
            Some(key) => {
                vec![label(self.name.clone(), "validation"), label(format!("test_{key}"), "test")]
            }
            None => Vec::new(),
        }
    }
}

impl fmt::Debug for RunMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, metric, .. } = self;
        f.debug_struct("RunMetric")
            .field("key", key)
            .field("metric", metric)
            .finish_non_exhaustive()
    }
}

/// The name of the metric `name` of the head of a modality.
pub(super) fn head_name(name: &str, modality: &Modality) -> String {
    format!("{name}_{modality}")
}

fn is_share(metric: &Metric) -> bool {
    metric.better == Better::HighShare
}
