//! The recorders of a student's training.

use std::path::Path;

use anyhow::Result;
use g2d::{
    record::{ConsoleProgress, Csv, JudgedBy, Recorders, RunFolder, RunInfo, TensorBoard},
    schedule::Progress,
};

use super::{
    problem::Problem, setup::TrainingSetup, student::StudentTraining, task::PredictionTask,
};
use crate::support::{methods::Method, metric::ResultMetric};

/// Steps between two recorded ones.
pub const STEP_INTERVAL: u64 = 50;

/// Starts the recorders of a run folder, after removing what was recorded from `at` on.
pub fn begin(
    folder: &Path,
    at: Progress,
    info: &RunInfo,
    bar: ConsoleProgress,
) -> Result<Recorders> {
    let mut recorders = Recorders::new()
        .with(RunFolder::resume(folder, at)?)
        .with(Csv::resume(folder.join("epochs.csv"), at)?.steps(folder.join("steps.csv"))?)
        .with(TensorBoard::resume(folder.join("tensorboard"), at)?)
        .with(bar)
        .step_interval(STEP_INTERVAL);
    recorders.begin(info);
    Ok(recorders)
}

/// The description of a run: configuration, teachers, baselines, the metric by which it is judged, and titles
/// of metrics.
pub fn info(
    method: Method,
    setup: &TrainingSetup,
    problem: &Problem,
    training: &StudentTraining<'_>,
) -> Result<RunInfo> {
    let mut config = setup.json.clone();
    config["method"] = method.key().into();
    config["data"] = problem.to_string().into();
    let mut info =
        RunInfo::new(method.to_string(), &problem.modalities, setup.device).config(&config)?;
    for (modality, teacher) in problem.modalities.iter().zip(training.teachers) {
        info = info
            .teacher(modality.clone(), teacher.scores.clone())
            .teacher_confidence(modality.clone(), teacher.train_confidence);
    }
    for (baseline, scores) in training.baselines {
        info = info.reference(baseline.to_string(), scores.clone());
    }
    let metrics = problem.task.metrics();
    let metric = problem.task.diagnosis_metric(problem.splits.val.targets())?;
    info = info.judged_by(JudgedBy { name: metrics[0].key_on("val"), metric });
    for metric in metrics {
        for (split, title) in [("val", "validation"), ("test", "test")] {
            let title = format!("{title} {}", metric.name);
            info = info.label(&metric.key_on(split), &title, metric.unit);
        }
    }
    let ResultMetric { name, unit, .. } = metrics[0];
    let (title, shapley_unit) = match problem.task {
        PredictionTask::Classification { .. } => {
            (format!("Shapley contribution to {name}"), "points")
        }
        PredictionTask::Regression { .. } => (format!("Shapley contribution to −{name}"), unit),
    };
    Ok(info.label("shapley", &title, shapley_unit).label("linear_probe", "linear probe", unit))
}
