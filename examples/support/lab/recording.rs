//! A student's run folder, and what is made of its numbers.

use anyhow::Result;
use g2d::{
    Batch, EpochReport, Modality, Student,
    diagnosis::{Diagnosis, Evidence, Thresholds},
    probe::held_out::{LinearProbe, Shapley},
    record::{Csv, Outcome, Recorders, RunFolder, RunInfo, TensorBoard},
    step::Measurement,
};

use super::{Lab, named, problem::Problem, source::Source, task::Task, training::Measured};
use crate::support::{methods::Method, metric::Metric, summary::TeacherSummary};

/// A run that is being recorded.
pub struct Recording {
    pub recorders: Recorders,
    info: RunInfo,
    teachers: Vec<TeacherSummary>,
    /// What a linear probe reads from the encoders before training.
    untrained: Vec<Measurement>,
}

impl Recording {
    /// Starts recording, or goes on with what was recorded before `epoch`.
    pub fn begin(
        lab: &Lab,
        method: Method,
        untrained: Vec<Measurement>,
        teachers: &[TeacherSummary],
        problem: &Problem,
        epoch: u64,
    ) -> Result<Self> {
        let folder = lab.out.join(method.key());
        let mut config = lab.config.clone();
        config["method"] = method.key().into();
        config["data"] = problem.to_string().into();
        let mut info =
            RunInfo::new(method.to_string(), &problem.modalities, lab.device).config(&config)?;
        for (modality, teacher) in problem.modalities.iter().zip(teachers) {
            info = info.teacher(modality.clone(), teacher.scores.clone());
        }
        let metrics = problem.task.metrics();
        for Metric { key, name, unit, .. } in metrics {
            for (split, words) in [("val", "validation"), ("test", "test")] {
                info = info.label(&format!("{split}_{key}"), &format!("{words} {name}"), unit);
            }
        }
        let first = &metrics[0];
        let (words, unit) = match problem.task {
            Task::Classes(_) => (format!("Shapley contribution to {}", first.name), "points"),
            Task::Value { .. } => (format!("Shapley contribution to −{}", first.name), first.unit),
        };
        info =
            info.label("shapley", &words, unit).label("linear_probe", "linear probe", first.unit);
        let mut recorders = Recorders::new()
            .with(RunFolder::resume(&folder, epoch)?)
            .with(Csv::resume(folder.join("epochs.csv"), epoch)?)
            .with(TensorBoard::resume(folder.join("tensorboard"), epoch)?);
        recorders.begin(&info);
        Ok(Self { recorders, info, teachers: teachers.to_vec(), untrained })
    }

    /// Closes it with what the kept weights are worth.
    pub fn finish(
        mut self,
        lab: &Lab,
        student: &dyn Student,
        problem: &Problem,
        reports: &[EpochReport],
        val: &Measured,
        test: &Measured,
    ) -> Result<()> {
        let metrics = problem.task.metrics();
        let mut scores = named(metrics, "test", test.fused.clone());
        scores.extend(heads(&metrics[0], "test", test));
        scores.extend(named(&metrics[..1], "val", val.fused.clone()));
        scores.extend(heads(&metrics[0], "val", val));
        let measured = linear_probe(lab, student, problem)?;
        let mut measurements = shapley(lab, student, problem)?;
        measurements.extend(measured);
        let diagnosis = self.diagnosis(problem, reports, val, &measurements)?;
        if let Task::Classes(_) = problem.task {
            measurements.iter_mut().for_each(|one| one.value *= 100.0); // %, as the metric
        }
        self.recorders.finish(&Outcome { scores, measurements, diagnosis: Some(diagnosis) });
        for failure in self.recorders.failures() {
            eprintln!("{}: not all was recorded: {failure}", self.info.name);
        }
        Ok(())
    }

    /// Judges the kept weights on validation data.
    fn diagnosis(
        &self,
        problem: &Problem,
        reports: &[EpochReport],
        val: &Measured,
        measurements: &[Measurement],
    ) -> Result<Diagnosis> {
        let (metric, factor) = problem.task.judged(&problem.splits)?;
        let of = |all: &[(String, f64)], m: &Modality| {
            all.iter().find(|(name, _)| name == m.name()).map(|(_, value)| value / factor)
        };
        let modalities = &problem.modalities;
        let mut seen =
            Evidence::new(metric, modalities).with_reports(reports).with_measurements(measurements);
        let before = |m: &Modality| {
            let own = self.untrained.iter().find(|one| one.modality.as_ref() == Some(m));
            own.map(|one| one.value)
        };
        seen.untrained = modalities.iter().map(before).collect();
        let key = problem.task.metrics()[0].on("val");
        seen.fused = Some(val.fused[0] / factor);
        seen.heads = modalities.iter().map(|m| of(&val.heads, m)).collect();
        seen.teachers = self.teachers.iter().map(|t| Some(t.scores.get(&key)? / factor)).collect();
        // ρ is the teachers' whether the method asks them or not.
        seen.confidence = self.teachers.iter().map(|t| Some(t.train_confidence)).collect();
        Ok(Diagnosis::from_evidence(&seen, &Thresholds::default())?)
    }
}

fn heads(metric: &Metric, split: &str, measured: &Measured) -> Vec<(String, f64)> {
    let name = |(m, value): &(String, f64)| (format!("{}_{m}", metric.on(split)), *value);
    measured.heads.iter().map(name).collect()
}

fn batches(lab: &Lab, set: &Source) -> g2d::Result<Vec<Batch>> {
    set.stored(lab.recipe.batch_size, lab.device).collect()
}

/// What each modality contributes on validation data, where that is small.
fn shapley(lab: &Lab, student: &dyn Student, problem: &Problem) -> Result<Vec<Measurement>> {
    let val = &problem.splits.val;
    if !val.small() {
        return Ok(Vec::new());
    }
    let mut shapley = Shapley::default();
    if let Task::Value { .. } = problem.task {
        let task = problem.task.clone();
        shapley =
            shapley.value_function(move |predictions, targets| task.score(predictions, targets));
    }
    let mut found = shapley.measure(student, &batches(lab, val)?)?;
    found.retain(|one| one.metric == "shapley");
    Ok(found)
}

/// What each encoder knows of classes, where the sets are small.
pub fn linear_probe(
    lab: &Lab,
    student: &dyn Student,
    problem: &Problem,
) -> Result<Vec<Measurement>> {
    let (train, val) = (&problem.splits.train, &problem.splits.val);
    match problem.task {
        Task::Classes(_) if train.small() && val.small() => {
            let (train, val) = (batches(lab, train)?, batches(lab, val)?);
            Ok(LinearProbe::default().measure(student, &train, &val)?)
        }
        _ => Ok(Vec::new()),
    }
}
