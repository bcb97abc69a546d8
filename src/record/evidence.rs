//! The evidence of a diagnosis from a recorded run.

use super::{JudgedBy, Run, metric::head_name};
use crate::diagnosis::{Better, Diagnosis, Evidence, Thresholds};
use crate::error::{self, Result};
use crate::modality::Modality;
use crate::step::{EpochReport, Measurement};

impl Run {
    /// The evidence that the run has recorded:
    ///
    /// - metric: [`RunInfo::judged_by`](super::RunInfo::judged_by);
    /// - fused model and heads: the outcome's scores of that name, without them the last epoch's metrics;
    /// - teachers and alternatives: the scores of that name of the run's teachers and references;
    /// - confidence: that of the teachers in the run's description, without it that of the last epoch;
    /// - κ and the number of epochs: all epochs;
    /// - probes, contributions and gradient norms: the measurements of the outcome, without them those of the
    ///   last epoch; untrained: [`RunInfo::untrained`](super::RunInfo::untrained).
    ///
    /// If the metric is a share, values whose label has the unit `%` or `points` are divided by 100.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the run does not name the metric.
    pub fn evidence(&self) -> Result<Evidence> {
        let Some(JudgedBy { name, metric }) = &self.info.judged_by else {
            return Err(error::config(
                format!("metric of the run {:?}", self.info.name),
                "the metric by which it is judged",
                "none",
                "describe the run with `RunInfo::judged_by`",
            ));
        };
        let modalities = &self.info.modalities;
        let scale = |of: &str, value: f64| {
            let percent =
                metric.better == Better::HighShare && matches!(self.info.unit(of), "%" | "points");
            if percent { value / 100.0 } else { value }
        };
        let own = |scores: &[(String, f64)], key: &str| {
            let found = scores.iter().find(|(other, _)| other == key);
            found.map(|(_, value)| scale(name, *value))
        };
        let scaled = |measured: &[Measurement]| -> Vec<Measurement> {
            let mut measured = measured.to_vec();
            measured.iter_mut().for_each(|one| one.value = scale(&one.metric, one.value));
            measured
        };
        let rows = self.epochs.iter();
        let reports: Vec<EpochReport> = rows
            .map(|row| EpochReport {
                measurements: scaled(&row.report.measurements),
                ..row.report.clone()
            })
            .collect();
        let mut evidence = Evidence::new(metric.clone(), modalities).with_reports(&reports);
        evidence.epochs = Some(reports.len() as u64);
        let mut scores = self.epochs.last().map_or(&[][..], |row| &row.metrics);
        if let Some(outcome) = &self.outcome {
            evidence = evidence.with_measurements(&scaled(&outcome.measurements));
            if own(&outcome.scores, name).is_some() {
                scores = &outcome.scores;
            }
        }
        evidence.fused = own(scores, name);
        evidence.heads = modalities.iter().map(|m| own(scores, &head_name(name, m))).collect();
        let teacher =
            |m: &Modality| self.info.teachers.iter().find(|teacher| teacher.modality == *m);
        evidence.teachers = modalities.iter().map(|m| own(&teacher(m)?.scores, name)).collect();
        let confidence: Vec<_> = modalities.iter().map(|m| teacher(m)?.confidence).collect();
        if confidence.iter().any(Option::is_some) {
            evidence.confidence = confidence;
        }
        let references = self.info.references.iter();
        evidence.alternatives = references
            .filter_map(|r| Some((format!("the {}", r.name), own(&r.scores, name)?)))
            .collect();
        let untrained = |m: &Modality| {
            let mut found = self.info.untrained.iter();
            found
                .find(|one| one.modality.as_ref() == Some(m))
                .map(|one| scale(&one.metric, one.value))
        };
        evidence.untrained = modalities.iter().map(untrained).collect();
        Ok(evidence)
    }

    /// The diagnosis of the [`evidence`](Self::evidence) that the run has recorded.
    ///
    /// # Errors
    /// As [`evidence`](Self::evidence) and [`Diagnosis::from_evidence`].
    pub fn diagnose(&self, thresholds: &Thresholds) -> Result<Diagnosis> {
        Diagnosis::from_evidence(&self.evidence()?, thresholds)
    }
}
