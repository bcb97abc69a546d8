//! The diagnosis of a recorded run.

use g2d::{
    Modality,
    diagnosis::{Diagnosis, Evidence, FindingKind, Metric, Thresholds},
    metrics as measures,
    record::{JudgedBy, Outcome, Recorders, Run, RunFolder, RunInfo, RunMetric},
    step::Measurement,
    trainer::Predictions,
};
use tch::Tensor;

use super::{epoch, info, metrics, outcome, recorded};
use crate::support::{assert_config_error, assert_mismatch, assert_number};

fn numbers<const N: usize>(numbers: [(&str, f64); N]) -> Vec<(String, f64)> {
    numbers.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// The description of a run whose accuracies are in percent.
fn judged() -> RunInfo {
    info("a run")
        .judged_by(&RunMetric::accuracy(6))
        .reference("calibrated ensemble", [("val_accuracy", 78.5), ("test_accuracy", 99.0)])
        .teacher_confidence("video", 0.5)
        .label("linear_probe", "linear probe", "%")
        .untrained(vec![Measurement::new("linear_probe", &"video".into(), 25.0)])
}

/// Records four epochs and finishes with `outcome`.
fn record(folder: &std::path::Path, info: &RunInfo, outcome: &Outcome) -> (Recorders, Run) {
    let mut recorders = Recorders::new().with(RunFolder::create(folder).unwrap());
    recorders.begin(info);
    (0..4).for_each(|e| recorders.epoch(&epoch(e), &metrics(e)));
    recorders.finish(outcome);
    (recorders, Run::read(folder).unwrap())
}

#[test]
fn the_evidence_of_a_run_is_what_it_has_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let scores =
        numbers([("val_accuracy", 52.0), ("val_accuracy_video", 26.0), ("test_accuracy", 1.0)]);
    let measurements = vec![Measurement::new("linear_probe", &"video".into(), 57.0)];
    let outcome = Outcome { scores, measurements, diagnosis: None };
    let (_, run) = record(folder.path(), &judged(), &outcome);
    let found = run.evidence().unwrap();

    let mut expected = Evidence::new(Metric::accuracy(6), &Modality::list(["audio", "video"]));
    expected.fused = Some(0.52);
    expected.heads = vec![None, Some(0.26)];
    expected.teachers = vec![Some(0.625), Some(0.7625)];
    expected.alternatives = vec![("the calibrated ensemble".to_owned(), 0.785)];
    expected.probes = vec![None, Some(0.57)];
    expected.untrained = vec![None, Some(0.25)];
    expected.contributions = vec![Some(41.5), Some(12.25)];
    expected.confidence = vec![None, Some(0.5)];
    expected.gradient_norms = vec![Some(6.0), None];
    expected.kappa = vec![vec![1.0, 0.0], vec![1.0, 0.0], vec![1.0, 1.0], vec![1.0, 1.0]];
    expected.epochs = Some(4);
    assert_eq!(found, expected);
}

#[test]
fn without_scores_in_the_outcome_those_of_the_last_epoch_count() {
    let folder = tempfile::tempdir().unwrap();
    let (_, mut run) = record(folder.path(), &judged(), &outcome());
    let found = run.evidence().unwrap();
    assert_eq!(found.fused, Some(0.535));
    assert_eq!(found.heads, [Some(0.4325), Some(0.27)]);
    run.info.teachers.iter_mut().for_each(|teacher| teacher.confidence = None);
    assert_eq!(run.evidence().unwrap().confidence, [Some(0.75), Some(0.125)], "of the reports");
    run.outcome = None;
    assert_eq!(run.evidence().unwrap().fused, Some(0.535), "an unfinished run");
}

#[test]
fn a_finished_run_has_its_diagnosis_without_a_call_of_the_user() {
    let folder = tempfile::tempdir().unwrap();
    let bare = Outcome { diagnosis: None, ..outcome() };
    let (recorders, run) = record(folder.path(), &judged(), &bare);
    assert!(recorders.failures().is_empty());
    let diagnosis = run.outcome.as_ref().unwrap().diagnosis.as_ref().unwrap();
    assert_eq!(*diagnosis, run.diagnose(&Thresholds::default()).unwrap());
    let suppressed = &diagnosis.findings[0];
    assert_eq!(suppressed.kind, FindingKind::Suppressed);
    assert_eq!(suppressed.modality, "video".into());
    assert_eq!(suppressed.number("head"), Some(0.27));
    let text = diagnosis.to_string();
    assert!(text.contains("worse than the calibrated ensemble: its accuracy is 53.5 %"), "{text}");

    // A diagnosis of the user's is kept, and none is made without the metric.
    let own = Diagnosis { metric: Metric::accuracy(2), findings: Vec::new() };
    let given = Outcome { diagnosis: Some(own.clone()), ..Outcome::default() };
    let (_, run) = record(folder.path(), &judged(), &given);
    assert_eq!(run.outcome.unwrap().diagnosis, Some(own));
    let (recorders, run) = record(folder.path(), &info("a run"), &bare);
    assert!(recorders.failures().is_empty());
    assert_eq!(run.outcome.as_ref().unwrap().diagnosis, None);
    assert_config_error(run.evidence(), &["a run", "RunInfo::judged_by"]);
}

#[test]
fn a_run_that_cannot_be_diagnosed_keeps_its_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = Outcome { scores: numbers([("val_accuracy", f64::NAN)]), ..Outcome::default() };
    let (recorders, run) = record(folder.path(), &judged(), &outcome);
    assert_mismatch(run.diagnose(&Thresholds::default()), &["fused of the evidence", "NaN"]);
    assert!(recorders.failures()[0].to_string().contains("fused of the evidence"));
    assert_eq!(run.outcome.unwrap().scores.len(), 1);
}

#[test]
fn an_error_metric_is_not_a_percentage() {
    let folder = tempfile::tempdir().unwrap();
    let judged_by = JudgedBy { name: "val_accuracy".into(), metric: Metric::error("MAPE", 80.0) };
    let (_, run) = record(folder.path(), &info("a run").judged_by(judged_by), &outcome());
    let found = run.evidence().unwrap();
    assert_eq!((found.fused, &found.teachers[..]), (Some(53.5), &[Some(62.5), Some(76.25)][..]));
}

#[test]
fn runs_of_earlier_versions_are_read() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), "a run");
    let text = std::fs::read_to_string(folder.path().join("run.json")).unwrap();
    for new in ["judged_by", "untrained", "confidence"] {
        assert!(!text.contains(new), "{new} is written only where it is set");
    }
}

#[test]
fn a_metric_is_computed_and_named_for_the_fused_model_and_its_heads() {
    let logits = Tensor::from_slice2(&[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]);
    let targets = Tensor::from_slice(&[0_i64, 1, 1, 0]);
    let video = Tensor::from_slice2(&[[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]);
    let found = Predictions {
        heads: vec![("audio".into(), logits.shallow_clone()), ("video".into(), video)],
        present: vec![("video".into(), vec![true, false, false, true])],
        ..Predictions::new(logits.shallow_clone(), targets.shallow_clone())
    };
    let scores = RunMetric::accuracy(2).scores("test", &found).unwrap();
    let expected =
        [("test_accuracy", 75.0), ("test_accuracy_audio", 75.0), ("test_accuracy_video", 50.0)];
    assert_eq!(scores, numbers(expected));
    let rmse = RunMetric::new("rmse", Metric::error("RMSE", 1.0), measures::rmse);
    let (values, errors) = (Tensor::from_slice(&[1.0, 3.0]), Tensor::from_slice(&[2.0, 4.0]));
    let (name, value) = rmse.score("val", &values, &errors).unwrap();
    assert_eq!(name, "val_rmse");
    assert_number(value, 1.0);
    let labels = info("a run").judged_by(&rmse).labels;
    let labels: Vec<_> = labels.iter().map(|l| (l.metric.as_str(), l.title.as_str())).collect();
    assert_eq!(labels[1..], [("val_rmse", "validation RMSE"), ("test_rmse", "test RMSE")],);
}
