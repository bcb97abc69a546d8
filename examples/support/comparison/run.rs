//! The whole comparison.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;

use super::{
    arguments::RunArguments,
    knowledge::{baselines, knowledge},
    problem::Problem,
    reports,
    run_files::RunFiles,
    setup::{ComparisonConfig, TrainingSetup},
    student::{StudentRun, StudentTraining},
    teacher::UntrainedTeacher,
};
use crate::support::{
    aggregate::AggregateResults, explanation::explain, methods::Method, output,
    parallel::in_parallel, progress::ProgressBars, summary::SeedSummary,
};

/// The number of samples of each split in a smoke test.
const SMOKE_SAMPLES: usize = 48;

/// The comparison of one seed.
struct Comparison<'a> {
    problem: Problem,
    setup: TrainingSetup,
    files: RunFiles,
    methods: &'a [Method],
    jobs: usize,
    save_every: Option<u64>,
}

/// Compares methods on every seed and writes the results into the output folder. `problem(seed,
/// folder)` creates the problem of a seed, and may write files into the seed's folder.
pub fn compare(
    run: &RunArguments,
    config: &ComparisonConfig,
    mut problem: impl FnMut(u64, &Path) -> Result<Problem>,
) -> Result<()> {
    run.begin()?;
    let (mut summaries, mut data) = (Vec::new(), String::new());
    for seed in config.seed..config.seed + run.seeds {
        let folder = run.folder(seed);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("create the folder {}", folder.display()))?;
        let mut problem = problem(seed, &folder)?;
        if run.smoke {
            problem = problem.first(SMOKE_SAMPLES)?;
        }
        let methods = run.methods(&problem)?;
        data = problem.to_string();
        println!("{data}\n{}, {:?}, seed {seed}", config.description, run.device);
        let mut json = config.json.clone();
        json["seed"] = json!(seed);
        let mut settings = json.clone();
        settings["data"] = json!(data);
        let keys: Vec<_> = methods.iter().map(|method| method.key()).collect();
        let comparison = Comparison {
            problem,
            files: RunFiles::open(&folder, run.resume, &settings, &keys)?,
            setup: TrainingSetup {
                seed,
                device: run.device,
                config: config.training.clone(),
                json,
            },
            methods: &methods,
            jobs: run.jobs(),
            save_every: run.save_every,
        };
        let summary = comparison.run()?;
        comparison.files.save_summary(&summary)?;
        let explanation = explain(&summary).unwrap_or_default();
        let report = reports::write(&comparison.files, &methods, &explanation)?;
        println!("{summary}\n{explanation}\nreport: {}", report.display());
        summaries.push(summary);
    }
    if summaries.len() > 1 {
        let results = AggregateResults::new(&data, &config.description, &summaries)?;
        let (table, out) = (output::write(&results, &run.out)?, run.out.display());
        println!("{table}\nwrote results.json, table.md and figure.svg to {out}");
    }
    Ok(())
}

impl Comparison<'_> {
    /// Trains teachers and students, and evaluates each of them on the test data once.
    fn run(&self) -> Result<SeedSummary> {
        let Self { problem, setup, files, .. } = self;
        let modalities = &problem.modalities;
        let mut summary = SeedSummary::new(setup.seed, modalities, problem.task.metrics());
        let bars = ProgressBars::default();

        // Networks are created one after the other, since libtorch has one random generator per
        // process; then they are trained in parallel.
        let untrained = (0..modalities.len())
            .map(|m| Ok((UntrainedTeacher::new(m, setup, problem)?, problem.share())))
            .collect::<Result<Vec<_>>>()?;
        let teachers = in_parallel(self.jobs, untrained, |(teacher, problem)| {
            teacher.train(setup, files, &problem, &bars)
        })?;
        let scores: Vec<_> = teachers.iter().map(|teacher| teacher.summary.clone()).collect();
        let names = modalities.iter().map(|modality| modality.name().to_owned());
        summary.teachers.extend(names.zip(scores.iter().cloned()));
        let knowledge = knowledge(&teachers, &problem.task)?;
        summary.baselines.extend(baselines(&teachers, &knowledge, problem)?);

        let student = |&method: &Method| {
            let student = StudentRun::new(method, setup, problem, &teachers, &knowledge)?;
            Ok((student, problem.share()))
        };
        let students = self.methods.iter().map(student).collect::<Result<Vec<_>>>()?;
        let training = StudentTraining {
            setup,
            files,
            save_every: self.save_every,
            teachers: &scores,
            knowledge: &knowledge,
            baselines: &summary.baselines,
            bars: &bars,
        };
        let results = in_parallel(self.jobs, students, |(student, problem)| {
            Ok((student.method.key().to_owned(), training.run(student, &problem)?))
        })?;
        summary.methods.extend(results);
        Ok(summary)
    }
}
