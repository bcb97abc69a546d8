//! Run folders.

use std::fs;

use g2d::{
    Error,
    record::{Recorder, Run, RunFolder},
    report::Report,
};

use super::{at_epoch, epoch, info, metrics, outcome, recorded, step_row};
use crate::support::{assert_error, assert_mismatch};

#[test]
fn a_recorded_run_is_read_back() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), "a run");
    let run = Run::read(folder.path()).unwrap();
    assert_eq!(run.info, super::RunInfo { created: run.info.created.clone(), ..info("a run") });
    assert_eq!(run.epochs.len(), 4);
    for (e, row) in (0..).zip(&run.epochs) {
        assert_eq!(row.report, epoch(e));
        assert_eq!(row.metrics, metrics(e));
        assert!(row.seconds >= 0.0);
    }
    assert_eq!(run.outcome, Some(outcome()));
    assert!(run.notes.is_empty());
}

#[test]
fn head_and_ensemble_terms_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(folder.path()).unwrap();
    run.begin(&info("balanced")).unwrap();
    let mut report = epoch(0);
    report.terms.head = vec![Some(0.125), None];
    report.terms.ensemble = Some(f64::INFINITY);
    run.epoch(&report, &[]).unwrap();
    assert_eq!(Run::read(folder.path()).unwrap().epochs[0].report, report);
    let path = folder.path().join("epochs.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    let wrong = text.replacen("\"head\":[0.125,null]", "\"head\":[0.125]", 1);
    assert_ne!(text, wrong);
    fs::write(&path, wrong).unwrap();
    let words = ["values in line 1", "2, one per modality", "found 1"];
    assert_mismatch(Run::read(folder.path()), &words);
}

#[test]
fn rows_of_a_loss_without_distillation_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(folder.path()).unwrap();
    run.begin(&info("AGM")).unwrap();
    let mut step = step_row(1);
    let mut report = epoch(0);
    for terms in [&mut step.values.terms, &mut report.terms] {
        terms.feature.clear();
        terms.logit.clear();
    }
    run.step_row(&step).unwrap();
    run.epoch(&report, &[]).unwrap();
    let run = Run::read(folder.path()).unwrap();
    assert_eq!((&run.steps[0], &run.epochs[0].report), (&step, &report));
    let plots = Report::new(vec![run]).unwrap().plots();
    assert!(plots.iter().any(|plot| plot.name == "loss"));
}

#[test]
fn numbers_that_are_not_finite_are_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = RunFolder::create(folder.path()).unwrap();
    run.begin(&info("diverged")).unwrap();
    let mut report = epoch(0);
    report.terms.total = f64::NAN;
    run.epoch(&report, &[("best".to_owned(), f64::INFINITY)]).unwrap();
    let run = Run::read(folder.path()).unwrap();
    assert!(run.epochs[0].report.terms.total.is_nan());
    assert_eq!(run.epochs[0].metrics[0].1, f64::INFINITY);
}

#[test]
fn a_truncated_last_line_and_a_missing_result_are_noted() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), "a run");
    let path = folder.path().join("epochs.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    fs::remove_file(folder.path().join("result.json")).unwrap();
    let run = Run::read(folder.path()).unwrap();
    assert_eq!((run.epochs.len(), &run.outcome), (3, &None));
    assert!(run.notes[0].contains("truncated") && run.notes[1].contains("result.json"));
}

#[test]
fn a_resumed_run_keeps_its_start_and_replaces_later_epochs_and_the_result() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), "a run");
    let path = folder.path().join("run.json");
    let created = "2001-02-03T04:05:06Z";
    let old = Run::read(folder.path()).unwrap().info.created;
    fs::write(&path, fs::read_to_string(&path).unwrap().replace(&old, created)).unwrap();
    let mut resumed = RunFolder::resume(folder.path(), at_epoch(2)).unwrap();
    resumed.begin(&info("a run")).unwrap();
    resumed.epoch(&epoch(2), &[("val_accuracy".to_owned(), 99.0)]).unwrap();
    let run = Run::read(folder.path()).unwrap();
    assert_eq!(run.info.created, created, "the time of the start");
    assert_eq!(run.epochs.iter().map(|r| r.report.epoch).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(run.epochs[2].metrics[0].1, 99.0);
    assert_eq!(run.outcome, None, "the old result is removed");
}

#[test]
fn a_folder_that_is_not_a_valid_run_is_an_error_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    assert_mismatch(Run::read(at("nowhere")), &["nowhere", "no such folder", "RunFolder"]);
    assert_mismatch(Run::read(folder.path()), &["run.json", "a folder without them"]);

    recorded(folder.path(), "a run");
    let [info, epochs] = ["run.json", "epochs.jsonl"].map(|name| {
        let path = at(name);
        (fs::read_to_string(&path).unwrap(), path)
    });
    let assert_invalid = |(text, path): &(String, _), from: &str, to: &str, words: &[&str]| {
        assert!(text.contains(from));
        fs::write(path, text.replacen(from, to, 1)).unwrap();
        assert_mismatch(Run::read(folder.path()), words);
        fs::write(path, text).unwrap();
    };
    assert_invalid(&info, "g2d run 1", "g2d run 9", &["run.json", "g2d run 9", "version"]);
    assert_invalid(&info, "\"modalities\"", "\"models\"", &["run.json", "modalities"]);
    assert_invalid(
        &info,
        "\"video\"",
        "\"touch\"",
        &["epochs.jsonl", "modalities in line 1", "touch"],
    );
    assert_invalid(&epochs, "\"epoch\":2", "\"epoch\":1", &["epoch in line 3", "one after 1"]);
    assert_invalid(
        &epochs,
        "\"kappa\":[1.0,0.0]",
        "\"kappa\":[1.0]",
        &["values in line 1", "one per modality"],
    );
    assert_invalid(&epochs, "}\n", "\n", &["epochs.jsonl", "line 1"]);
    fs::remove_file(&epochs.1).unwrap();
    let error = assert_error(Run::read(folder.path()), &["epochs.jsonl", "read the file"]);
    assert!(matches!(error, Error::Io { .. }));
}
