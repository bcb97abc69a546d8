//! Evaluation of students.

use anyhow::Result;
use g2d::{
    Batch, Modality, Student,
    probe::held_out::{LinearProbe, Shapley},
    step::Measurement,
    trainer::Predictions,
};
use tch::Tensor;

use super::{problem::Problem, setup::TrainingSetup, split::SplitData, task::PredictionTask};
use crate::support::metric::{ResultMetric, with_keys};

/// The metrics of a student on a split.
pub struct StudentScores {
    /// All metrics of the fused student.
    pub fused: Vec<f64>,
    /// The first metric of each unimodal head.
    pub heads: Vec<(String, f64)>,
    /// The score that selects an epoch.
    pub selection: f64,
}

impl StudentScores {
    /// The metrics of predictions.
    pub fn new(predictions: &Predictions, task: &PredictionTask) -> Result<Self> {
        let fused = task.evaluate(&predictions.logits, &predictions.targets)?;
        let head = |(m, logits): &(Modality, Tensor)| {
            Ok((m.name().to_owned(), task.evaluate(logits, &predictions.targets)?[0]))
        };
        let heads = predictions.heads.iter().map(head).collect::<g2d::Result<_>>()?;
        let selection = task.selection_score(&predictions.logits, &predictions.targets)?;
        Ok(Self { fused, heads, selection })
    }

    /// The values of `metrics` and of the heads, with their keys on a split.
    pub fn with_keys(&self, metrics: &[ResultMetric], split: &str) -> Vec<(String, f64)> {
        let key = metrics[0].key_on(split);
        let heads = self.heads.iter().map(|(m, value)| (format!("{key}_{m}"), *value));
        with_keys(metrics, split, &self.fused).into_iter().chain(heads).collect()
    }
}

/// The Shapley value of each modality on validation data, if these are small.
pub fn shapley(
    student: &dyn Student,
    setup: &TrainingSetup,
    problem: &Problem,
) -> Result<Vec<Measurement>> {
    let val = &problem.splits.val;
    if !val.is_small() {
        return Ok(Vec::new());
    }
    let mut shapley = Shapley::default();
    if let PredictionTask::Regression { .. } = problem.task {
        let task = problem.task.clone();
        shapley =
            shapley.value_function(move |predictions, targets| task.score(predictions, targets));
    }
    let mut measurements = shapley.measure(student, &batches(val, setup)?)?;
    measurements.retain(|one| one.metric == "shapley");
    Ok(in_percent(measurements, problem))
}

/// The accuracy of a linear probe on each encoder, for classification with small splits.
pub fn linear_probe(
    student: &dyn Student,
    setup: &TrainingSetup,
    problem: &Problem,
) -> Result<Vec<Measurement>> {
    let (train, val) = (&problem.splits.train, &problem.splits.val);
    match problem.task {
        PredictionTask::Classification { .. } if train.is_small() && val.is_small() => {
            let (train, val) = (batches(train, setup)?, batches(val, setup)?);
            let measurements = LinearProbe::default().measure(student, &train, &val)?;
            Ok(in_percent(measurements, problem))
        }
        _ => Ok(Vec::new()),
    }
}

/// Measurements in the unit of the metric: in percent for classification.
fn in_percent(mut measurements: Vec<Measurement>, problem: &Problem) -> Vec<Measurement> {
    if problem.task.has_classes() {
        measurements.iter_mut().for_each(|one| one.value *= 100.0);
    }
    measurements
}

fn batches(split: &SplitData, setup: &TrainingSetup) -> g2d::Result<Vec<Batch>> {
    setup.stored(split).collect()
}
