//! The final results of a student.

use anyhow::Result;
use g2d::{
    EpochReport, Modality, Student,
    diagnosis::{Diagnosis, Evidence, Thresholds},
    record::Outcome,
    step::Measurement,
};

use super::{
    evaluation::{StudentScores, linear_probe, shapley},
    problem::Problem,
    setup::TrainingSetup,
    task::PredictionTask,
};
use crate::support::{
    metric::with_keys,
    summary::{MethodSummary, TeacherSummary},
};

/// A student with the weights of its best epoch, and the history of its training.
pub struct TrainedStudent<'a> {
    pub student: &'a dyn Student,
    pub reports: &'a [EpochReport],
    pub teachers: &'a [TeacherSummary],
    /// Linear probes of the encoders before training.
    pub untrained: &'a [Measurement],
    pub val: StudentScores,
    pub test: StudentScores,
}

impl TrainedStudent<'_> {
    /// The outcome for the run folder.
    pub fn outcome(&self, setup: &TrainingSetup, problem: &Problem) -> Result<Outcome> {
        let metrics = problem.task.metrics();
        let mut scores = self.test.with_keys(metrics, "test");
        scores.extend(self.val.with_keys(&metrics[..1], "val"));
        let probes = linear_probe(self.student, setup, problem)?;
        let mut measurements = shapley(self.student, setup, problem)?;
        measurements.extend(probes);
        let diagnosis = self.diagnosis(problem, &measurements)?;
        if let PredictionTask::Classification { .. } = problem.task {
            // In percent, like the accuracy.
            measurements.iter_mut().for_each(|one| one.value *= 100.0);
        }
        Ok(Outcome { scores, measurements, diagnosis: Some(diagnosis) })
    }

    /// The summary for the comparison.
    pub fn summary(&self, problem: &Problem) -> MethodSummary {
        let metrics = problem.task.metrics();
        let mut scores = with_keys(metrics, "test", &self.test.fused);
        scores.extend(with_keys(&metrics[..1], "val", &self.val.fused));
        let epochs = self.reports.len() as f64;
        let mean = |m: usize| self.reports.iter().map(|r| r.kappa[m]).sum::<f64>() / epochs;
        let kappa = problem.modalities.iter().enumerate();
        MethodSummary {
            scores: scores.into_iter().collect(),
            heads: self.test.heads.iter().cloned().collect(),
            kappa: kappa.map(|(m, modality)| (modality.name().to_owned(), mean(m))).collect(),
        }
    }

    /// The diagnosis on validation data.
    fn diagnosis(&self, problem: &Problem, measurements: &[Measurement]) -> Result<Diagnosis> {
        let targets = problem.splits.val.targets();
        let (metric, factor) = problem.task.diagnosis_metric(targets)?;
        let modalities = &problem.modalities;
        let mut evidence = Evidence::new(metric, modalities)
            .with_reports(self.reports)
            .with_measurements(measurements);
        let untrained = |m: &Modality| {
            let own = self.untrained.iter().find(|one| one.modality.as_ref() == Some(m));
            own.map(|one| one.value)
        };
        evidence.untrained = modalities.iter().map(untrained).collect();
        let key = problem.task.metrics()[0].key_on("val");
        evidence.fused = Some(self.val.fused[0] / factor);
        let head = |m: &Modality| {
            let own = self.val.heads.iter().find(|(name, _)| name == m.name());
            own.map(|(_, value)| value / factor)
        };
        evidence.heads = modalities.iter().map(head).collect();
        evidence.teachers =
            self.teachers.iter().map(|t| Some(t.scores.get(&key)? / factor)).collect();
        // Known also for methods without teachers, whose reports have no ρ.
        evidence.confidence = self.teachers.iter().map(|t| Some(t.train_confidence)).collect();
        Ok(Diagnosis::from_evidence(&evidence, &Thresholds::default())?)
    }
}
