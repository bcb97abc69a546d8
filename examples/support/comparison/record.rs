//! The recorders of a student's training.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;
use g2d::record::{Csv, Recorders, RunFolder, RunInfo, TensorBoard};

use super::{problem::Problem, setup::TrainingSetup, task::PredictionTask};
use crate::support::{
    baselines::Baseline,
    methods::Method,
    metric::{ResultMetric, Scores},
    summary::TeacherSummary,
};

/// Starts the recorders of a run folder, after removing what was recorded from `epoch` on.
pub fn begin(folder: &Path, epoch: u64, info: &RunInfo) -> Result<Recorders> {
    let mut recorders = Recorders::new()
        .with(RunFolder::resume(folder, epoch)?)
        .with(Csv::resume(folder.join("epochs.csv"), epoch)?)
        .with(TensorBoard::resume(folder.join("tensorboard"), epoch)?);
    recorders.begin(info);
    Ok(recorders)
}

/// The description of a run: configuration, teachers, baselines, and titles of metrics.
pub fn info(
    method: Method,
    setup: &TrainingSetup,
    problem: &Problem,
    teachers: &[TeacherSummary],
    baselines: &BTreeMap<Baseline, Scores>,
) -> Result<RunInfo> {
    let mut config = setup.json.clone();
    config["method"] = method.key().into();
    config["data"] = problem.to_string().into();
    let mut info =
        RunInfo::new(method.to_string(), &problem.modalities, setup.device).config(&config)?;
    for (modality, teacher) in problem.modalities.iter().zip(teachers) {
        info = info.teacher(modality.clone(), teacher.scores.clone());
    }
    for (baseline, scores) in baselines {
        info = info.reference(baseline.to_string(), scores.clone());
    }
    let metrics = problem.task.metrics();
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
