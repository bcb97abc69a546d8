//! Rows of steps in files, at an interval.

use std::{fs, path::Path};

use g2d::{
    EpochReport, Result,
    loss::Classification,
    optim::{Optimizer, SgdConfig},
    record::{Csv, JsonLines, Recorder, Recorders, Run, RunFolder, StepRecord, StepRow},
    schedule::Progress,
    trainer::NonFinite,
};

use super::{at_epoch, info, recorded, recorded_steps, step_row};
use crate::support::{
    Tiny, assert_mismatch, assert_number, assert_same, count_synchronisations, gradients,
    with_nan_input,
};

/// The rows in a file of JSON Lines.
fn rows(path: &Path) -> Vec<StepRow> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Recorders of the rows of steps in `steps.jsonl`.
fn recorders(folder: &Path, interval: u64) -> Recorders {
    let lines = JsonLines::create(folder.join("epochs.jsonl")).unwrap();
    let lines = lines.steps(folder.join("steps.jsonl")).unwrap();
    Recorders::new().with(lines).step_interval(interval)
}

#[test]
fn a_step_is_recorded_with_loss_kappa_learning_rates_and_gradient_norm_at_the_interval() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let mut trainer =
        student.builder_with_teachers(Classification::default()).build(&student).unwrap();
    let sgd = SgdConfig { lr: 0.5, ..SgdConfig::default() };
    let mut optimizer = Optimizer::builder(&student.vs, sgd)
        .group("head", SgdConfig { lr: 0.25, ..sgd })
        .build()
        .unwrap();
    optimizer.set_lr_factor(0.5).unwrap();
    let mut recorders = recorders(folder.path(), 2);
    let (mut expected, mut norms) = (Vec::new(), Vec::new());
    for step in 0..5 {
        optimizer.zero_grad().unwrap();
        let report = trainer.step(&student, &student.batch(4, f64::from(step))).unwrap();
        let before = gradients(&student.vs);
        let squares = before.values().map(|g| g.square().sum(g.kind()).double_value(&[]));
        norms.push(squares.sum::<f64>().sqrt());
        recorders.step(StepRecord::new(&report).optimizer(&optimizer));
        assert_same(&before, &gradients(&student.vs));
        optimizer.step().unwrap();
        expected.push(report.read().unwrap());
    }
    assert!(recorders.failures().is_empty());
    let found = rows(&folder.path().join("steps.jsonl"));
    let steps: Vec<u64> = found.iter().map(StepRow::finished).collect();
    assert_eq!(steps, [2, 4]);
    for row in &found {
        let i = row.finished() as usize - 1;
        assert_eq!(row.values, expected[i]);
        assert_number(row.gradient_norm.unwrap(), norms[i]);
        let rates = row.learning_rates.iter().map(|(group, lr)| (group.as_str(), *lr));
        let mut rates: Vec<_> = rates.collect();
        rates.sort_by(|a, b| a.0.cmp(b.0));
        assert_eq!(rates, [("", 0.25), ("head", 0.125)]);
        assert_eq!(row.modalities.len(), 2);
    }
}

#[test]
fn the_gradient_norm_of_clipping_is_that_before() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let optimizer = Optimizer::builder(&student.vs, SgdConfig::default()).build().unwrap();
    let mut recorders = recorders(folder.path(), 1);
    let report = trainer.step(&student, &student.batch(4, 0.0)).unwrap();
    let norm = optimizer.clip_grad_norm(1e-3).unwrap();
    recorders.step(StepRecord::new(&report).optimizer(&optimizer).gradient_norm(norm.as_ref()));
    recorders.step(StepRecord::new(&report).optimizer(&optimizer).learning_rate("mine", 3.0));
    let found = rows(&folder.path().join("steps.jsonl"));
    let before = norm.unwrap().double_value(&[]);
    assert!(before > 2e-3);
    assert_eq!(found[0].gradient_norm, Some(before));
    approx::assert_relative_eq!(found[1].gradient_norm.unwrap(), 1e-3, max_relative = 1e-2);
    assert!(found[1].learning_rates.contains(&("mine".to_owned(), 3.0)));
}

#[test]
fn a_step_between_two_recorded_ones_does_not_synchronise() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let optimizer = Optimizer::builder(&student.vs, SgdConfig::default()).build().unwrap();
    let mut reads = |mut recorders: Recorders| {
        let count = |_| {
            let report = trainer.step(&student, &student.batch(4, 0.0)).unwrap();
            let record = StepRecord::new(&report).optimizer(&optimizer);
            count_synchronisations(|| recorders.step(record)).1
        };
        (0..6).map(count).collect::<Vec<_>>()
    };
    assert_eq!(reads(recorders(folder.path(), 3)), [0, 0, 2, 0, 0, 2]);
    assert_eq!(reads(recorders(folder.path(), 0)), [0; 6], "the default");
    assert_eq!(reads(Recorders::new().step_interval(1)), [0; 6], "no recorder");
}

#[test]
fn with_accumulation_the_last_steps_of_windows_are_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).accumulate(4);
    let mut trainer = builder.build(&student).unwrap();
    let mut recorders = recorders(folder.path(), 5);
    for _ in 0..20 {
        recorders.step(&trainer.step(&student, &student.batch(4, 0.0)).unwrap());
    }
    let steps: Vec<_> =
        rows(&folder.path().join("steps.jsonl")).iter().map(StepRow::finished).collect();
    assert_eq!(steps, [8, 12, 16, 20], "5, 10, 15 and 20 are in these windows");
}

#[test]
fn a_skipped_step_has_a_row_without_gradient_norm() {
    let folder = tempfile::tempdir().unwrap();
    let student = Tiny::linear(2);
    let builder = student.builder(Classification::default()).non_finite(NonFinite::Skip);
    let mut trainer = builder.build(&student).unwrap();
    let optimizer = Optimizer::builder(&student.vs, SgdConfig::default()).build().unwrap();
    let mut recorders = recorders(folder.path(), 1);
    let batch = with_nan_input(&student.batch(4, 0.0), 0);
    let report = trainer.step(&student, &batch).unwrap();
    recorders.step(StepRecord::new(&report).optimizer(&optimizer));
    let found = rows(&folder.path().join("steps.jsonl"));
    assert!(found[0].values.outcome.skipped().is_some());
    assert_eq!(found[0].gradient_norm, None);
}

#[test]
fn a_csv_of_steps_has_a_column_for_each_value() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("steps.csv");
    let mut csv = Csv::create(folder.path().join("epochs.csv")).unwrap().steps(&path).unwrap();
    assert!(!path.exists(), "created with the first row");
    csv.step_row(&step_row(4)).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "step,epoch,loss_total,loss_task,loss_feature_audio,loss_logit_audio,confidence_audio,\
             kappa_audio,loss_feature_video,loss_logit_video,confidence_video,kappa_video,lr,lr_head,\
             gradient_norm",
            "4,1,1,0.5,0.5,,0.75,1,,1.25,,0.5,0.125,0.25,6",
        ]
    );
}

#[test]
fn resumed_files_keep_the_steps_before_the_position() {
    let folder = tempfile::tempdir().unwrap();
    let at = Progress { epoch: 1, step: 1, total_steps: 4, updates: 4 };
    let [csv, jsonl] = ["steps.csv", "steps.jsonl"].map(|name| folder.path().join(name));
    let [epochs_csv, epochs_jsonl] = ["e.csv", "e.jsonl"].map(|name| folder.path().join(name));
    let mut first = Recorders::new()
        .with(Csv::create(&epochs_csv).unwrap().steps(&csv).unwrap())
        .with(JsonLines::create(&epochs_jsonl).unwrap().steps(&jsonl).unwrap());
    first.epoch(&super::epoch(0), &[]);
    let mut each = Csv::resume(&epochs_csv, at).unwrap().steps(&csv).unwrap();
    (0..6).for_each(|step| each.step_row(&step_row(step)).unwrap());
    let mut each = JsonLines::resume(&epochs_jsonl, at).unwrap().steps(&jsonl).unwrap();
    (0..6).for_each(|step| each.step_row(&step_row(step)).unwrap());

    drop(Csv::resume(&epochs_csv, at).unwrap().steps(&csv).unwrap());
    drop(JsonLines::resume(&epochs_jsonl, at).unwrap().steps(&jsonl).unwrap());
    let expected: Vec<_> = (0..4).map(step_row).collect();
    assert_eq!(rows(&jsonl), expected, "also those of the open epoch");
    let text = fs::read_to_string(&csv).unwrap();
    let steps: Vec<_> = text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(steps, ["0", "1", "2", "3"]);
    assert_mismatch(
        Csv::resume(&epochs_csv, at).unwrap().steps(&epochs_csv),
        &["line 1", "`step`"],
    );

    drop(JsonLines::create(&epochs_jsonl).unwrap().steps(&jsonl).unwrap());
    assert!(!jsonl.exists(), "a new run removes the steps of an older one");
}

#[test]
fn a_run_folder_is_read_back_with_its_steps() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), "a run");
    assert_eq!(Run::read(folder.path()).unwrap().steps, []);
    recorded_steps(folder.path());
    let expected: Vec<_> = (0..12).map(step_row).collect();
    assert_eq!(Run::read(folder.path()).unwrap().steps, expected);

    let path = folder.path().join("steps.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, &text[..text.len() - 20]).unwrap();
    let run = Run::read(folder.path()).unwrap();
    assert_eq!(run.steps, expected[..11]);
    assert!(run.notes[0].contains("steps.jsonl is truncated"), "{:?}", run.notes);
    for (from, to, words) in [
        ("\"total_steps\":2", "\"total_steps\":1", "step in line 3"),
        ("\"kappa\":[1.0,0.5]", "\"kappa\":[1.0]", "values in line 1"),
        ("\"video\"", "\"touch\"", "modalities in line 1"),
    ] {
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        assert_mismatch(Run::read(folder.path()), &["steps.jsonl", words]);
    }
    fs::write(&path, &text).unwrap();
    RunFolder::resume(folder.path(), at_epoch(2)).unwrap().begin(&info("a run")).unwrap();
    assert_eq!(Run::read(folder.path()).unwrap().steps, expected[..6]);
    RunFolder::create(folder.path()).unwrap().begin(&info("a run")).unwrap();
    assert_eq!(Run::read(folder.path()).unwrap().steps, []);
}

/// A recorder that fails in the rows of steps.
struct NoSteps;

impl Recorder for NoSteps {
    fn step_row(&mut self, _row: &StepRow) -> Result<()> {
        Err(g2d::error::config("steps", "none", "one", "record no steps"))
    }

    fn epoch(&mut self, _report: &EpochReport, _metrics: &[(String, f64)]) -> Result<()> {
        panic!("a failed recorder is not called again")
    }
}

#[test]
fn a_recorder_that_fails_in_a_row_of_a_step_is_removed() {
    let student = Tiny::linear(2);
    let mut trainer = student.builder(Classification::default()).build(&student).unwrap();
    let mut recorders = Recorders::new().with(NoSteps).step_interval(1);
    recorders.step(&trainer.step(&student, &student.batch(4, 0.0)).unwrap());
    assert_eq!(recorders.failures().len(), 1);
    recorders.epoch(&super::epoch(0), &[]);
}
