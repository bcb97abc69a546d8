//! The CSV recorder.

use g2d::record::{ConsoleProgress, Csv, Recorder};
use g2d::{
    EpochReport, Error, Modality, loss::Classification, loss::Terms, probe::ConfidenceRatio,
    step::Measurement,
};

use super::at_epoch;
use crate::support::{Tiny, assert_error};

fn report(epoch: u64) -> EpochReport {
    EpochReport {
        epoch,
        steps: 7,
        skipped: 0,
        unfinished: 0,
        modalities: Modality::list(["a", "b"]),
        terms: Terms {
            total: 1.5,
            task: 0.25,
            feature: vec![Some(0.5), None],
            logit: vec![None, Some(f64::INFINITY)],
            head: Vec::new(),
            ensemble: None,
        },
        confidence: vec![Some(0.75), Some(0.125)],
        kappa: vec![0.0, 1.0],
        measurements: vec![
            Measurement::new("gradient_norm", &"a".into(), 3.0),
            Measurement { metric: "gap".into(), modality: None, value: 4.0 },
        ],
    }
}

fn metric(name: &str, value: f64) -> (String, f64) {
    (name.to_owned(), value)
}

#[test]
fn a_csv_has_a_header_and_a_row_per_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("not/yet/there/run.csv");
    let mut csv = Csv::create(&path).unwrap();
    csv.epoch(&report(0), &[metric("accuracy", 61.25), metric("best", f64::NAN)]).unwrap();
    let mut second = report(1);
    second.measurements.clear();
    csv.epoch(&second, &[metric("accuracy", 62.0)]).unwrap();
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let expected = [
        "epoch,steps,skipped,loss_total,loss_task,loss_feature_a,loss_logit_a,confidence_a,kappa_a,\
         loss_feature_b,loss_logit_b,confidence_b,kappa_b,probe_gradient_norm_a,probe_gap,\
         accuracy,best",
        "0,7,0,1.5,0.25,0.5,,0.75,0,,inf,0.125,1,3,4,61.25,NaN",
        "1,7,0,1.5,0.25,0.5,,0.75,0,,inf,0.125,1,,,62,",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn head_and_ensemble_terms_are_columns_of_a_loss_that_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.csv");
    let mut csv = Csv::create(&path).unwrap();
    let mut with = report(0);
    with.terms.head = vec![Some(0.125), None];
    with.terms.ensemble = Some(2.5);
    csv.epoch(&with, &[metric("accuracy", 61.0)]).unwrap();
    with.epoch = 1;
    with.terms.head = vec![None, Some(f64::NAN)];
    csv.epoch(&with, &[]).unwrap();
    drop(csv);
    let lines = std::fs::read_to_string(&path).unwrap();
    let ends = ["loss_head_a,loss_head_b,loss_ensemble,accuracy", "0.125,,2.5,61", ",NaN,2.5,"];
    assert_eq!(lines.lines().count(), 3);
    for (line, end) in lines.lines().zip(ends) {
        assert!(line.ends_with(end), "{line}");
    }
}

#[test]
fn a_new_metric_adds_a_column_to_the_csv() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.csv");
    let mut csv = Csv::create(&path).unwrap();
    csv.epoch(&report(0), &[]).unwrap();
    csv.epoch(&report(1), &[metric("accuracy, %", 61.5)]).unwrap();
    // Header and rows of the file; rows are complete when `epoch` returns.
    let rows = || {
        let mut reader = csv::Reader::from_path(&path).unwrap();
        let names: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        (names, rows)
    };
    let (names, found) = rows();
    assert_eq!(names.last().unwrap(), "accuracy, %");
    assert_eq!([&found[0][0], found[0].last().unwrap()], ["0", ""]);
    assert_eq!([&found[1][0], found[1].last().unwrap()], ["1", "61.5"]);
    csv.epoch(&report(2), &[]).unwrap();
    drop(csv);
    let mut csv = Csv::resume(&path, at_epoch(2)).unwrap();
    csv.epoch(&report(2), &[metric("late", 1.0), metric("accuracy, %", 62.0)]).unwrap();
    let (names, found) = rows();
    assert_eq!(names[names.len() - 2..], ["accuracy, %", "late"]);
    assert_eq!(found.len(), 3);
    assert_eq!(found[2][names.len() - 2..], ["62", "1"]);
    assert!(found.iter().all(|row| row.len() == names.len()));
}

#[test]
fn an_unwritable_path_is_an_error_with_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a_file");
    std::fs::write(&file, "").unwrap();
    let error = assert_error(Csv::create(file.join("run.csv")), &["a_file", "folder"]);
    assert!(matches!(error, Error::Io { .. }));
    let a_folder = folder.path().join("run.csv");
    std::fs::create_dir(&a_folder).unwrap();
    let error = assert_error(Csv::create(&a_folder), &["run.csv", "create the file"]);
    assert!(matches!(error, Error::Io { .. }));
}

#[test]
fn a_new_csv_replaces_an_older_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.csv");
    std::fs::write(&path, "old").unwrap();
    Csv::create(&path).unwrap().epoch(&report(0), &[]).unwrap();
    assert!(
        std::fs::read_to_string(&path).unwrap().starts_with("epoch,"),
        "dropping the recorder flushes"
    );
}

#[test]
fn the_reports_of_a_training_are_recorded_with_all_digits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.csv");
    let mut csv = Csv::create(&path).unwrap();
    let mut bar = ConsoleProgress::new("test", 2);
    let student = Tiny::linear(3);
    let builder =
        student.builder_with_teachers(Classification::default()).probe(ConfidenceRatio::default());
    let mut trainer = builder.build(&student).unwrap();
    let mut totals = Vec::new();
    for epoch in 0..2 {
        trainer.step(&student, &student.batch(4, f64::from(epoch))).unwrap();
        let report = trainer.end_epoch().unwrap();
        csv.epoch(&report, &[metric("accuracy", 50.0)]).unwrap();
        bar.epoch(&report, &[metric("accuracy", 50.0)]).unwrap();
        totals.push(report.terms.total);
    }
    bar.finish();
    let mut reader = csv::Reader::from_path(&path).unwrap();
    let column = reader.headers().unwrap().iter().position(|name| name == "loss_total").unwrap();
    let ratio = "probe_confidence_ratio_m2";
    assert!(reader.headers().unwrap().iter().any(|name| name == ratio));
    let read: Vec<f64> =
        reader.records().map(|row| row.unwrap()[column].parse().unwrap()).collect();
    assert_eq!(read, totals, "all digits");
}
