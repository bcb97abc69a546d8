//! Recorders and the files that they write.
//!
//! - `csv.rs`: the CSV recorder; `recorders.rs`: several recorders, and resumed files.
//! - `run_folder.rs`: run folders; `tensorboard.rs`: event files; `mlflow.rs`: the recorder of the example.
//! - `steps.rs`: rows of steps; `diagnosis.rs`: the diagnosis of a recorded run.

mod csv;
mod diagnosis;
mod mlflow;
mod recorders;
mod run_folder;
mod steps;
mod tensorboard;

use g2d::{
    EpochReport, Modality, StepOutcome,
    diagnosis::{Diagnosis, Evidence, Metric, Thresholds},
    loss::Terms,
    record::{Environment, Outcome, Recorder, RunFolder, RunInfo, StepRow},
    schedule::Progress,
    step::{Measurement, StepValues},
};
use tch::Device;

/// The report of an epoch with the modalities audio and video; video is suppressed in the first two
/// epochs.
pub fn epoch(epoch: u64) -> EpochReport {
    let e = epoch as f64;
    EpochReport {
        epoch,
        steps: 3,
        skipped: 0,
        unfinished: 0,
        modalities: Modality::list(["audio", "video"]),
        terms: Terms {
            total: 2.0 / (e + 1.0),
            task: 1.0 / (e + 1.0),
            feature: vec![Some(0.5), None],
            logit: vec![None, Some(0.25 + e)],
            head: Vec::new(),
            ensemble: None,
        },
        confidence: vec![Some(0.75), Some(0.125)],
        kappa: vec![1.0, if epoch < 2 { 0.0 } else { 1.0 }],
        measurements: vec![
            Measurement::new("gradient_norm", &"audio".into(), 3.0 + e),
            Measurement::new("shapley", &"audio".into(), 41.5),
            Measurement::new("shapley", &"video".into(), 12.25),
        ],
    }
}

/// The beginning of an epoch, of three steps each.
pub fn at_epoch(epoch: u64) -> Progress {
    Progress { epoch, step: 0, total_steps: 3 * epoch, updates: 3 * epoch }
}

pub fn metrics(epoch: u64) -> Vec<(String, f64)> {
    let e = epoch as f64;
    [("val_accuracy", 50.5 + e), ("val_accuracy_audio", 40.25 + e), ("val_accuracy_video", 27.0)]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
}

pub fn info(name: &str) -> RunInfo {
    let modalities = Modality::list(["audio", "video"]);
    let config = serde_json::json!({"epochs": 4, "optimizer": {"lr": 0.125, "name": "sgd"},
        "stages": [1, 2], "nesterov": true});
    RunInfo::new(name, &modalities, Device::Cpu)
        .config(&config)
        .unwrap()
        .teacher("audio", [("val_accuracy", 62.5)])
        .teacher("video", [("val_accuracy", 76.25)])
        .label("val_accuracy", "validation accuracy", "%")
}

pub fn outcome() -> Outcome {
    let mut seen = Evidence::new(Metric::accuracy(6), &Modality::list(["audio", "video"]));
    seen.fused = Some(0.53375);
    seen.teachers = vec![Some(0.625), Some(0.7625)];
    seen.heads = vec![Some(0.4325), Some(0.27)];
    seen.epochs = Some(300);
    Outcome {
        scores: vec![("test_accuracy".to_owned(), 53.375)],
        measurements: vec![Measurement::new("linear_probe", &"audio".into(), 57.25)],
        diagnosis: Some(Diagnosis::from_evidence(&seen, &Thresholds::default()).unwrap()),
    }
}

/// A whole run of four epochs.
pub fn recorded(folder: &std::path::Path, name: &str) {
    let mut run = RunFolder::create(folder).unwrap();
    run.begin(&info(name)).unwrap();
    for e in 0..4 {
        run.epoch(&epoch(e), &metrics(e)).unwrap();
    }
    run.finish(&outcome()).unwrap();
}

/// The row of a step of which three make an epoch.
pub fn step_row(total_steps: u64) -> StepRow {
    let terms = epoch(total_steps / 3).terms;
    let (epoch, step) = (total_steps / 3, total_steps % 3);
    let at = Progress { epoch, step, total_steps, updates: total_steps };
    let (outcome, kappa) = (StepOutcome::Ready, vec![1.0, 0.5]);
    StepRow {
        modalities: Modality::list(["audio", "video"]),
        values: StepValues { at, outcome, kappa, terms, confidence: vec![Some(0.75), None] },
        learning_rates: vec![(String::new(), 0.125), ("head".to_owned(), 0.25)],
        gradient_norm: Some(2.0 + total_steps as f64),
    }
}

/// Adds the rows of the steps to a recorded run.
pub fn recorded_steps(folder: &std::path::Path) {
    let mut run = RunFolder::resume(folder, at_epoch(4)).unwrap();
    (0..12).for_each(|step| run.step_row(&step_row(step)).unwrap());
    run.finish(&outcome()).unwrap();
}

#[test]
fn the_recorded_environment_is_the_current_one() {
    let here = Environment::here(Device::Cpu);
    assert_eq!(here.libtorch, "2.13.0", "tch 0.26 accepts no other");
    assert_eq!(here.device, "Cpu");
    assert_eq!(here.threads, i64::from(tch::get_num_threads()));
}
