//! The whole comparison.

use std::{collections::BTreeMap, path::Path};

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
    teacher::{SharedTeacher, UntrainedTeacher},
};
use crate::support::{
    aggregate::AggregateResults,
    baselines::Baseline,
    composition::TeacherKnowledge,
    explanation::explain,
    methods::Method,
    metric::Scores,
    output,
    parallel::Workers,
    progress::ProgressBars,
    summary::{SeedSummary, TeacherSummary},
};

/// The number of samples of each split in a smoke test.
const SMOKE_SAMPLES: usize = 48;

/// The trainings of one seed.
struct SeedRun {
    setup: TrainingSetup,
    files: RunFiles,
    methods: Vec<Method>,
}

/// What follows from the teachers of a seed.
struct TeacherResults {
    scores: Vec<TeacherSummary>,
    knowledge: TeacherKnowledge,
    baselines: BTreeMap<Baseline, Scores>,
}

/// Compares methods on every seed and writes the results into the output folder. `problem(seed,
/// folder)` creates the problem of a seed, and may write files into the seed's folder.
///
/// The teachers of all seeds are one queue of trainings, and so are the students, so that all cores
/// work to its end. Networks are created one after the other before, since libtorch has one random
/// generator per process.
pub fn compare(
    run: &RunArguments,
    config: &ComparisonConfig,
    mut problem: impl FnMut(u64, &Path) -> Result<Problem>,
) -> Result<()> {
    run.begin()?;
    g2d::allocator::tune();
    let seeds = config.seed..config.seed + run.seeds;
    let runs = seeds.map(|seed| SeedRun::new(seed, run, config, &mut problem));
    let (runs, problems): (Vec<_>, Vec<_>) = runs.collect::<Result<Vec<_>>>()?.into_iter().unzip();
    let (bars, workers) = (ProgressBars::default(), run.workers(config.threads));
    let (data, modalities) = (problems[0].to_string(), problems[0].modalities.clone());
    let metrics = problems[0].task.metrics();
    println!("{data}\n{}, {:?}", config.description, run.device);

    let teachers = train_teachers(&runs, &problems, workers, &bars)?;
    let results = teachers.iter().zip(&problems).map(|(own, problem)| results(own, problem));
    let results = results.collect::<Result<Vec<_>>>()?;
    let mut summaries: Vec<_> = runs
        .iter()
        .zip(&results)
        .map(|(run, TeacherResults { scores, baselines, .. })| {
            let mut summary = SeedSummary::new(run.setup.seed, &modalities, metrics);
            let names = modalities.iter().map(|modality| modality.name().to_owned());
            summary.teachers.extend(names.zip(scores.iter().cloned()));
            summary.baselines.clone_from(baselines);
            summary
        })
        .collect();

    let mut students = Vec::new();
    for (s, SeedRun { setup, methods, .. }) in runs.iter().enumerate() {
        let (problem, knowledge) = (&problems[s], &results[s].knowledge);
        for &method in methods {
            let student = StudentRun::new(method, setup, problem, &teachers[s], knowledge)?;
            students.push((s, student, problem.share()));
        }
    }
    let train = |(s, student, problem): (usize, StudentRun, Problem)| {
        let (SeedRun { setup, files, .. }, known) = (&runs[s], &results[s]);
        let training = StudentTraining {
            setup,
            files,
            save_every: run.save_every,
            teachers: &known.scores,
            knowledge: &known.knowledge,
            baselines: &known.baselines,
            bars: &bars,
            probes: !run.no_probes,
        };
        Ok((s, student.method.key().to_owned(), training.run(student, &problem)?))
    };
    workers.run(students, train, |_, (s, method, result)| {
        summaries[s].methods.insert(method, result);
        let is_complete = summaries[s].methods.len() == runs[s].methods.len();
        if is_complete { bars.suspend(|| runs[s].finish(&summaries[s])) } else { Ok(()) }
    })?;
    if summaries.len() > 1 {
        let results = AggregateResults::new(&data, &config.description, &summaries)?;
        let (table, out) = (output::write(&results, &run.out)?, run.out.display());
        println!("{table}\nwrote results.json, table.md and figure.svg to {out}");
    }
    Ok(())
}

impl SeedRun {
    /// The trainings of a seed, with its problem.
    fn new(
        seed: u64,
        run: &RunArguments,
        config: &ComparisonConfig,
        problem: &mut impl FnMut(u64, &Path) -> Result<Problem>,
    ) -> Result<(Self, Problem)> {
        let folder = run.folder(seed);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("create the folder {}", folder.display()))?;
        let mut problem = problem(seed, &folder)?;
        if run.smoke {
            problem = problem.first(SMOKE_SAMPLES)?;
        }
        let methods = run.methods(&problem)?;
        config.training.compute.check(&methods, &problem)?;
        let mut json = config.json.clone();
        json["seed"] = json!(seed);
        let mut settings = json.clone();
        settings["data"] = json!(problem.to_string());
        let keys: Vec<_> = methods.iter().map(|method| method.key()).collect();
        let files = RunFiles::open(&folder, run.resume, &settings, &keys)?;
        let prefix = if run.seeds > 1 { format!("seed {seed}: ") } else { String::new() };
        let config = config.training.clone();
        let setup = TrainingSetup { seed, prefix, device: run.device, config, json };
        Ok((Self { setup, files, methods }, problem))
    }

    /// Writes and prints the results of the seed.
    fn finish(&self, summary: &SeedSummary) -> Result<()> {
        self.files.save_summary(summary)?;
        let explanation = explain(summary).unwrap_or_default();
        let report = reports::write(&self.files, &self.methods, &explanation)?;
        let seed = self.setup.seed;
        println!("seed {seed}\n{summary}\n{explanation}\nreport: {}", report.display());
        Ok(())
    }
}

/// Trains the teachers of all seeds.
fn train_teachers(
    runs: &[SeedRun],
    problems: &[Problem],
    workers: Workers,
    bars: &ProgressBars,
) -> Result<Vec<Vec<SharedTeacher>>> {
    let mut untrained = Vec::new();
    for (SeedRun { setup, files, .. }, problem) in runs.iter().zip(problems) {
        for m in 0..problem.modalities.len() {
            let teacher = UntrainedTeacher::new(m, setup, problem)?;
            untrained.push((setup, files, teacher, problem.share()));
        }
    }
    let train = |(setup, files, teacher, problem): (_, _, UntrainedTeacher, _)| {
        teacher.train(setup, files, &problem, bars)
    };
    let mut trained = workers.map(untrained, train)?.into_iter();
    let own = |problem: &Problem| trained.by_ref().take(problem.modalities.len()).collect();
    Ok(problems.iter().map(own).collect())
}

/// What follows from the teachers of a seed.
fn results(teachers: &[SharedTeacher], problem: &Problem) -> Result<TeacherResults> {
    let knowledge = knowledge(teachers, &problem.task)?;
    Ok(TeacherResults {
        scores: teachers.iter().map(|teacher| teacher.summary.clone()).collect(),
        baselines: baselines(teachers, &knowledge, problem)?.into_iter().collect(),
        knowledge,
    })
}
