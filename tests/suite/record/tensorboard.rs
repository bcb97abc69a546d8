//! Event files, read by TensorBoard.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use g2d::{
    ModalityParams,
    loss::Classification,
    record::{Recorder, TensorBoard},
};
use serde_json::Value;

use super::{at_epoch, epoch, info, metrics, outcome, step_row};
use crate::support::{self, Tiny, skipped, stdout};

const VERSION: &str = "2.20.0";

/// A Python with TensorBoard, which is installed into the target folder at first.
fn python() -> Option<Command> {
    let mut command = support::python()?;
    let packages =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("tensorboard-{VERSION}"));
    if !packages.exists() {
        let partial = packages.with_extension(format!("partial-{}", std::process::id()));
        let pip = support::python()?
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--retries", "0", "--target"])
            .arg(&partial)
            .arg(format!("tensorboard=={VERSION}"))
            .stdin(Stdio::null())
            .output();
        let installed = pip.is_ok_and(|output| output.status.success());
        if !installed || (std::fs::rename(&partial, &packages).is_err() && !packages.exists()) {
            let _ = std::fs::remove_dir_all(&partial);
            skipped(format!("pip could not install tensorboard {VERSION}"));
            return None;
        }
    }
    command.env("PYTHONPATH", packages);
    Some(command)
}

/// The content of the event files in `folder`, as TensorBoard reads it.
fn read(mut python: Command, folder: &Path) -> Value {
    let text = stdout(python.arg(support::script("events.py")).arg(folder));
    serde_json::from_str(&text).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("expected a number, found {value}"))
}

#[test]
fn tensorboard_reads_the_recorded_scalars_histograms_texts_and_hyper_parameters() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(folder.path()).unwrap();
    board.begin(&info("a run")).unwrap();
    let student = Tiny::linear(2);
    let mut trainer =
        student.builder_with_teachers(Classification::default()).build(&student).unwrap();
    let params = ModalityParams::by_name(&student.vs, trainer.modalities()).unwrap();
    for _ in 0..3 {
        board.step(&trainer.step(&student, &student.batch(4, 0.5)).unwrap()).unwrap();
    }
    board.encoders(0, &params).unwrap();
    board.epoch(&epoch(0), &metrics(0)).unwrap();
    let mut second = epoch(1);
    second.terms.head = vec![Some(0.375), None];
    second.terms.ensemble = Some(1.75);
    board.epoch(&second, &metrics(1)).unwrap();
    board.finish(&outcome()).unwrap();
    let found = read(python, folder.path());

    let expected = [
        ("loss/total", vec![2.0, 1.0]),
        ("loss/task", vec![1.0, 0.5]),
        ("loss/feature/audio", vec![0.5, 0.5]),
        ("loss/logit/video", vec![0.25, 1.25]),
        ("confidence/video", vec![0.125, 0.125]),
        ("kappa/audio", vec![1.0, 1.0]),
        ("kappa/video", vec![0.0, 0.0]),
        ("probe/gradient_norm/audio", vec![3.0, 4.0]),
        ("metric/val_accuracy", vec![50.5, 51.5]),
    ];
    for (tag, values) in expected {
        let point = |(step, value): (usize, f64)| serde_json::json!([step, value]);
        let points: Vec<_> = values.into_iter().enumerate().map(point).collect();
        assert_eq!(found["scalars"][tag], Value::Array(points), "{tag}");
    }
    for (tag, value) in [("loss/head/audio", 0.375), ("loss/ensemble", 1.75)] {
        assert_eq!(found["scalars"][tag], serde_json::json!([[1, value]]), "{tag}");
    }
    for absent in ["loss/feature/video", "loss/head/video"] {
        assert!(found["scalars"][absent].is_null(), "a term that was not computed");
    }
    assert_eq!(found["scalars"]["result/test_accuracy"], serde_json::json!([[1, 53.375]]));

    let kappa = &found["histograms"]["kappa_of_steps/audio"];
    assert_eq!((number(&kappa["num"]), number(&kappa["sum"])), (3.0, 3.0), "one per step");
    assert_eq!(number(&kappa["buckets"][19]), 3.0);
    for what in ["parameters", "gradients"] {
        let variables = student.vs.variables();
        let values_of_m0 = |(name, tensor): (&String, &tch::Tensor)| {
            let tensor = if what == "gradients" { tensor.grad() } else { tensor.shallow_clone() };
            name.starts_with("m0.").then(|| Vec::<f64>::try_from(tensor.reshape([-1])).unwrap())
        };
        let values: Vec<f64> = variables.iter().filter_map(values_of_m0).flatten().collect();
        let histogram = &found["histograms"][format!("{what}/m0")];
        let close = |name: &str, value: f64| {
            let found = number(&histogram[name]); // in single precision
            approx::assert_relative_eq!(found, value, max_relative = 1e-5, epsilon = 1e-6);
        };
        close("num", values.len() as f64);
        close("sum", values.iter().sum());
        close("sum_squares", values.iter().map(|v| v * v).sum());
        close("min", values.iter().copied().fold(f64::INFINITY, f64::min));
        close("max", values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        let buckets = histogram["buckets"].as_array().unwrap();
        close("num", buckets.iter().map(number).sum());
        let middle = (number(&histogram["min"]) + number(&histogram["max"])) / 2.0;
        let below = values.iter().filter(|v| **v < middle).count() as f64;
        assert_eq!(buckets[..32].iter().map(number).sum::<f64>(), below, "{what}: lower half");
    }

    let text = found["text"]["run"].as_str().unwrap();
    assert!(text.contains("**a run**") && text.contains("libtorch 2.13.0"), "{text}");
    assert!(
        found["text"]["diagnosis"].as_str().unwrap().contains("The video encoder is suppressed")
    );
    let hparams = serde_json::json!({"epochs": 4.0, "nesterov": true, "optimizer.lr": 0.125,
        "optimizer.name": "sgd", "stages": "[1,2]"});
    assert_eq!(found["hparams"], hparams);
    assert_eq!(found["status"], "STATUS_SUCCESS");
    assert_eq!(
        found["hparams_page"],
        serde_json::json!(["epochs", "nesterov", "optimizer.lr", "optimizer.name", "stages"]),
        "TensorBoard's page of hyper-parameters has them"
    );
}

#[test]
fn recorded_steps_are_a_run_of_their_own_and_resume_at_their_step() {
    if python().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(folder.path()).unwrap();
    assert!(!folder.path().join("steps").exists(), "without rows");
    (0..6).for_each(|step| board.step_row(&step_row(step)).unwrap());
    (0..2).for_each(|e| board.epoch(&epoch(e), &[]).unwrap());
    drop(board);
    let mut board = TensorBoard::resume(folder.path(), at_epoch(1)).unwrap();
    let mut changed = step_row(3);
    changed.gradient_norm = Some(7.5);
    board.step_row(&changed).unwrap();
    let read = |folder: &Path| read(python().unwrap(), folder);
    let steps = read(&folder.path().join("steps"));
    let norms = serde_json::json!([[0, 2.0], [1, 3.0], [2, 4.0], [3, 7.5]]);
    assert_eq!(steps["scalars"]["gradient_norm"], norms);
    for tag in ["loss/total", "lr", "lr/head", "kappa/video", "confidence/audio"] {
        assert!(steps["scalars"][tag].is_array(), "{tag}");
    }
    let epochs = read(folder.path());
    assert_eq!(epochs["scalars"]["loss/total"], serde_json::json!([[0, 2.0]]));
    assert!(epochs["scalars"]["gradient_norm"].is_null());
}

#[test]
fn a_resumed_run_replaces_later_epochs() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::create(folder.path()).unwrap();
    (0..3).for_each(|e| board.epoch(&epoch(e), &[]).unwrap());
    drop(board);
    let mut board = TensorBoard::resume(folder.path(), at_epoch(1)).unwrap();
    let mut changed = epoch(1);
    changed.terms.total = 7.5;
    board.epoch(&changed, &[]).unwrap();
    let found = read(python, folder.path());
    assert_eq!(found["scalars"]["loss/total"], serde_json::json!([[0, 2.0], [1, 7.5]]));
}
