//! The comparison of all methods on any problem: classes or values, two modalities or more, samples in
//! memory or on disk.
//!
//! - `problem.rs`: what is given (`Problem`); `source.rs`: samples and their order; `task.rs`: what is
//!   predicted, and how it is measured.
//! - `arguments.rs`: the command line that the examples share.
//! - `teaching.rs`, `training.rs`: a teacher, a student.
//! - `resuming.rs`: what is there after a crash.
//! - `recording.rs`: a student's run folder; `pages.rs`: the reports made of them.

pub mod arguments;
mod pages;
pub mod problem;
mod recording;
mod resuming;
pub mod source;
pub mod task;
mod teaching;
mod training;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use g2d::{
    loss::Distillation,
    optim::{LrSchedule, SgdConfig},
    trainer::KeepWeights,
};
use serde_json::{Value, json};
use tch::{Device, nn::VarStore};

use self::{arguments::RunArguments, problem::Problem, teaching::Taught, training::Pupil};
use super::{
    methods::{Method, Schedule},
    metric::Metric,
    parallel::in_parallel,
    progress::Bars,
    results::Results,
    summary::Summary,
};

/// What all trainings share.
#[derive(Debug, Clone)]
pub struct Recipe {
    pub epochs: u64,
    pub batch_size: usize,
    pub rule: SgdConfig,
    /// By epoch.
    pub lr: LrSchedule,
    /// Which epoch's weights a teacher keeps; a student keeps its best.
    pub keep: KeepWeights,
    pub schedule: Schedule,
    /// α and β count where a method has the terms.
    pub distillation: Distillation,
}

/// A recipe and how it was given.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The first.
    pub seed: u64,
    pub recipe: Recipe,
    /// An object, for files.
    pub config: Value,
    /// For people.
    pub words: String,
}

/// One run of the whole comparison.
pub struct Lab {
    pub seed: u64,
    pub device: Device,
    pub jobs: usize,
    pub methods: Vec<Method>,
    pub recipe: Recipe,
    pub config: Value,
    pub out: PathBuf,
    /// Goes on with what is in `out`.
    pub resume: bool,
    /// Steps between two snapshots of a student, beside those at the ends of epochs.
    pub save_every: Option<u64>,
}

/// Runs the comparison for every seed asked for and writes what it finds into the output folder;
/// `problem(seed, folder)` makes the problem, and may leave files in the seed's folder.
pub fn compare(
    run: &RunArguments,
    setting: &Setting,
    possible: &[Method],
    mut problem: impl FnMut(u64, &Path) -> Result<Problem>,
) -> Result<()> {
    let (mut summaries, mut data) = (Vec::new(), String::new());
    for seed in setting.seed..setting.seed + run.seeds {
        let folder = run.folder(seed);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("create the folder {}", folder.display()))?;
        let mut problem = problem(seed, &folder)?;
        if run.smoke {
            problem = problem.first(48)?;
        }
        let mut config = setting.config.clone();
        config["seed"] = json!(seed);
        let lab = Lab {
            seed,
            device: run.device,
            jobs: run.jobs(),
            methods: run.methods(possible)?,
            recipe: setting.recipe.clone(),
            config,
            out: folder.clone(),
            resume: run.resume,
            save_every: run.save_every,
        };
        data = problem.to_string();
        println!("{data}\n{}, {:?}, seed {seed}", setting.words, run.device);
        let summary = lab.run(&problem)?;
        write(&folder.join("summary.json"), serde_json::to_string_pretty(&summary)? + "\n")?;
        let page = pages::write(&folder, &lab.methods)?;
        println!("{summary}\nThe report: {}", page.display());
        summaries.push(summary);
    }
    if summaries.len() > 1 {
        let results = Results::new(&data, &setting.words, &summaries)?;
        results.write(&run.out)?;
        let out = run.out.display();
        println!("{}\nWrote results.json, table.md and figure.svg in {out}.", results.table()?);
    }
    Ok(())
}

/// Writes a file, whole or not at all.
fn write(path: &Path, text: String) -> Result<()> {
    let failed = || format!("write {}", path.display());
    let unfinished = path.with_extension("part");
    std::fs::write(&unfinished, text).with_context(failed)?;
    std::fs::rename(&unfinished, path).with_context(failed)
}

impl Lab {
    /// Trains everything and tests each result once.
    fn run(&self, problem: &Problem) -> Result<Summary> {
        self.claim(problem)?;
        let modalities = &problem.modalities;
        let mut summary = Summary::new(self.seed, modalities, problem.task.metrics());
        if let Some((name, scores)) = problem.baseline()? {
            summary.baselines.insert(name, scores);
        }
        let bars = Bars::default();
        // Networks are made one after the other: torch's random generator is one for the process.
        let untaught = (0..modalities.len())
            .map(|m| Ok((m, self.untaught(m, problem)?, problem.share())))
            .collect::<Result<Vec<_>>>()?;
        let taught = in_parallel(self.jobs, untaught, |(m, (vs, model), problem)| {
            self.teach(m, vs, model, &problem, &bars)
        })?;
        for (modality, taught) in modalities.iter().zip(&taught) {
            summary.teachers.insert(modality.name().to_owned(), taught.summary.clone());
        }
        let scores: Vec<_> = taught.iter().map(|taught| taught.summary.clone()).collect();
        let pupil = |&method: &Method| {
            tch::manual_seed(self.seed as i64);
            let vs = VarStore::new(self.device);
            let (student, encoders) = problem.networks.student(&vs)?;
            let asked = taught.iter().filter(|_| method.uses_teachers());
            let teachers = asked.map(Taught::teacher).collect::<Result<_>>()?;
            Ok((Pupil { method, vs, student, encoders, teachers }, problem.share()))
        };
        let pupils = self.methods.iter().map(pupil).collect::<Result<Vec<_>>>()?;
        let trained = in_parallel(self.jobs, pupils, |(pupil, problem)| {
            Ok((pupil.method, self.train(pupil, &scores, &problem, &bars)?))
        })?;
        for (method, result) in trained {
            summary.methods.insert(method.key().to_owned(), result);
        }
        Ok(summary)
    }
}

/// The values of `metrics` on a split, by name.
fn named(metrics: &[Metric], split: &str, values: Vec<f64>) -> Vec<(String, f64)> {
    metrics.iter().map(|metric| metric.on(split)).zip(values).collect()
}
