//! The results of several seeds.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    baselines::Baseline,
    metric::{ResultMetric, Scores},
    statistics::Estimate,
    summary::{MethodSummary, SeedSummary, TeacherSummary},
};

/// The results of several seeds.
#[derive(Debug, Serialize)]
pub struct AggregateResults {
    pub data: String,
    pub setting: String,
    /// The metrics; the first selects weights and decides claims.
    pub metrics: Vec<ResultMetric>,
    pub seeds: Vec<u64>,
    pub teachers: BTreeMap<String, TeacherResult>,
    pub methods: BTreeMap<String, MethodResult>,
    pub baselines: BTreeMap<Baseline, BaselineResult>,
    #[serde(skip)]
    pub modalities: Vec<String>,
}

/// Estimates by metric and split, or by modality.
pub type Estimates = BTreeMap<String, Estimate>;

/// A teacher's results: means over seeds, and their intervals.
#[derive(Debug, Serialize)]
pub struct TeacherResult {
    #[serde(flatten)]
    pub means: TeacherSummary,
    pub intervals: TeacherIntervals,
}

/// The estimates of a [`TeacherSummary`].
#[derive(Debug, Serialize)]
pub struct TeacherIntervals {
    #[serde(flatten)]
    pub scores: Estimates,
    pub train_confidence: Estimate,
}

/// A method's results: means over seeds, the first metric on test data, and the other intervals.
#[derive(Debug, Serialize)]
pub struct MethodResult {
    #[serde(flatten)]
    pub means: MethodSummary,
    #[serde(flatten)]
    pub test: Estimate,
    pub intervals: MethodIntervals,
}

/// The results of what needs no student: the first metric on test data, and the other intervals.
#[derive(Debug, Serialize)]
pub struct BaselineResult {
    #[serde(flatten)]
    pub test: Estimate,
    pub intervals: Estimates,
}

/// The other estimates of a [`MethodSummary`].
#[derive(Debug, Serialize)]
pub struct MethodIntervals {
    /// The first metric on validation data, the others on test data.
    #[serde(flatten)]
    pub scores: Estimates,
    pub heads: Estimates,
    pub kappa: Estimates,
    /// The metrics of each prediction that is made of fused logits and heads.
    pub predictions: BTreeMap<String, Estimates>,
}

fn means(estimates: &Estimates) -> Scores {
    estimates.iter().map(|(key, estimate)| (key.clone(), estimate.mean)).collect()
}

impl AggregateResults {
    pub fn new(data: &str, setting: &str, summaries: &[SeedSummary]) -> Result<Self> {
        let first = summaries.first().context("no seeds")?;
        let metric = *first.metrics.first().context("no metrics")?;
        let over =
            |value: &dyn Fn(&SeedSummary) -> f64| Estimate::from_seeds(summaries.iter().map(value));
        let each = |keys: &Scores, value: &dyn Fn(&SeedSummary, &str) -> f64| -> Estimates {
            keys.keys().map(|key| (key.clone(), over(&|s| value(s, key)))).collect()
        };
        let teachers = first.teachers.iter().map(|(m, teacher)| {
            let intervals = TeacherIntervals {
                scores: each(&teacher.scores, &|s, key| s.teachers[m].scores[key]),
                train_confidence: over(&|s| s.teachers[m].train_confidence),
            };
            let means = TeacherSummary {
                scores: means(&intervals.scores),
                train_confidence: intervals.train_confidence.mean,
            };
            (m.clone(), TeacherResult { means, intervals })
        });
        let methods = first.methods.iter().map(|(method, found)| {
            let mut scores = each(&found.scores, &|s, key| s.methods[method].scores[key]);
            let heads = each(&found.heads, &|s, m| s.methods[method].heads[m]);
            let kappa = each(&found.kappa, &|s, m| s.methods[method].kappa[m]);
            let predictions = found.predictions.iter().map(|(name, own)| {
                let of = |s: &SeedSummary, key: &str| s.methods[method].predictions[name][key];
                (name.clone(), each(own, &of))
            });
            let predictions: BTreeMap<_, _> = predictions.collect();
            let seconds = summaries.iter().filter_map(|s| s.methods[method].seconds_per_step);
            let seconds: Vec<f64> = seconds.collect();
            // The prediction may differ between seeds.
            let chosen = summaries.iter().map(|s| s.methods[method].prediction.clone());
            let means = MethodSummary {
                scores: means(&scores),
                heads: means(&heads),
                kappa: means(&kappa),
                predictions: predictions.iter().map(|(n, own)| (n.clone(), means(own))).collect(),
                prediction: chosen.collect::<Vec<_>>().join(", "),
                seconds_per_step: (!seconds.is_empty())
                    .then(|| seconds.iter().sum::<f64>() / seconds.len() as f64),
            };
            let test = scores.remove(&metric.key_on("test")).context("no metric on test data")?;
            let intervals = MethodIntervals { scores, heads, kappa, predictions };
            Ok((method.clone(), MethodResult { means, test, intervals }))
        });
        let baselines = first.baselines.iter().map(|(baseline, scores)| {
            let mut intervals = each(scores, &|s, key| s.baselines[baseline][key]);
            let test =
                intervals.remove(&metric.key_on("test")).context("no metric on test data")?;
            Ok((*baseline, BaselineResult { test, intervals }))
        });
        Ok(Self {
            data: data.to_owned(),
            setting: setting.to_owned(),
            metrics: first.metrics.clone(),
            seeds: summaries.iter().map(|s| s.seed).collect(),
            teachers: teachers.collect(),
            methods: methods.collect::<Result<_>>()?,
            baselines: baselines.collect::<Result<_>>()?,
            modalities: first.modalities.clone(),
        })
    }

    /// The metric that decides claims.
    pub fn metric(&self) -> &ResultMetric {
        &self.metrics[0]
    }
}
