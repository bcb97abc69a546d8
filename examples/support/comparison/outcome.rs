//! The final results of a student.

use std::collections::BTreeMap;

use anyhow::Result;
use g2d::{
    Student, algorithm::Ruled, calibration::Prediction, record::Outcome, trainer::Predictions,
};

use super::{
    evaluation::{StudentScores, linear_probe, shapley},
    history::History,
    problem::Problem,
    setup::TrainingSetup,
    task::PredictionTask,
};
use crate::support::{
    methods::Method,
    metric::{ResultMetric, Scores, with_keys},
    summary::MethodSummary,
};

/// The metrics of a trained student on validation and test data.
pub struct FinalResults {
    /// The metrics of fused logits and heads.
    val: StudentScores,
    test: StudentScores,
    /// The metrics of each prediction that is made of fused logits and heads.
    predictions: BTreeMap<String, Scores>,
    /// The prediction of the method.
    chosen: String,
}

impl FinalResults {
    /// Evaluates a student that has the weights of its best epoch; `val` are its predictions on validation
    /// data. The prediction of a method that trains heads is the one of the lowest NLL on validation data;
    /// that of another is the fused logits.
    pub fn new(
        method: Method,
        student: &Ruled<'_>,
        val: Predictions,
        setup: &TrainingSetup,
        problem: &Problem,
    ) -> Result<Self> {
        let task = &problem.task;
        let test = student.evaluate(setup.stored(&problem.splits.test))?;
        let mut results = Self {
            val: StudentScores::new(&val, task)?,
            test: StudentScores::new(&test, task)?,
            predictions: BTreeMap::new(),
            chosen: "fused".to_owned(),
        };
        let PredictionTask::Classification { .. } = task else { return Ok(results) };
        let mut lowest = f64::INFINITY;
        for prediction in Prediction::fit_all(&val)? {
            let name = prediction.name();
            let mut scores = Scores::from([("val_nll".to_owned(), prediction.nll())]);
            for (split, outputs) in [("val", &val), ("test", &test)] {
                let values = task.evaluate(&prediction.logits(outputs)?, &outputs.targets)?;
                scores.extend(with_keys(task.metrics(), split, &values));
            }
            results.predictions.insert(name.to_owned(), scores);
            if method.trains_heads() && prediction.nll() < lowest {
                (lowest, results.chosen) = (prediction.nll(), name.to_owned());
            }
        }
        Ok(results)
    }

    /// The metrics of the method's prediction on a split.
    fn chosen(&self, metrics: &[ResultMetric], split: &str, fused: &StudentScores) -> Vec<f64> {
        let value = |(i, metric): (usize, &ResultMetric)| {
            let own = self.predictions.get(&self.chosen);
            own.and_then(|own| own.get(&metric.key_on(split)).copied()).unwrap_or(fused.fused[i])
        };
        metrics.iter().enumerate().map(value).collect()
    }
}

/// A student with the weights of its best epoch, and the history of its training.
pub struct TrainedStudent<'a> {
    pub student: Ruled<'a>,
    pub history: &'a History,
    pub results: FinalResults,
}

impl TrainedStudent<'_> {
    /// The outcome for the run folder, with held-out measures if `probes`; the recorders add the diagnosis.
    pub fn outcome(
        &self,
        setup: &TrainingSetup,
        problem: &Problem,
        probes: bool,
    ) -> Result<Outcome> {
        let metrics = problem.task.metrics();
        let FinalResults { val, test, .. } = &self.results;
        let mut scores = test.with_keys(metrics, "test");
        scores.extend(val.with_keys(&metrics[..1], "val"));
        let mut measurements = Vec::new();
        if probes {
            measurements = shapley(&self.student, setup, problem)?;
            measurements.extend(linear_probe(&self.student, setup, problem)?);
        }
        Ok(Outcome { scores, measurements, diagnosis: None })
    }

    /// The summary for the comparison.
    pub fn summary(&self, problem: &Problem) -> MethodSummary {
        let metrics = problem.task.metrics();
        let FinalResults { val, test, predictions, chosen } = &self.results;
        let of = |split, fused| self.results.chosen(metrics, split, fused);
        let mut scores = with_keys(metrics, "test", &of("test", test));
        scores.extend(with_keys(&metrics[..1], "val", &of("val", val)));
        let reports = &self.history.reports;
        let mean =
            |m: usize| reports.iter().map(|r| r.kappa[m]).sum::<f64>() / reports.len() as f64;
        let kappa = problem.modalities.iter().enumerate();
        MethodSummary {
            scores: scores.into_iter().collect(),
            heads: test.heads.iter().cloned().collect(),
            kappa: kappa.map(|(m, modality)| (modality.name().to_owned(), mean(m))).collect(),
            predictions: predictions.clone(),
            prediction: chosen.clone(),
            seconds_per_step: Some(self.history.seconds_per_step()),
        }
    }
}
