//! The comparison of all methods on any problem whose samples are in memory: classes or values, two
//! modalities or more.
//!
//! An example takes it in beside `support` with `#[path = "../support/lab/mod.rs"] mod lab;`.
//!
//! - `problem.rs`: what is given (`Problem`) and what is predicted (`Task`).
//! - `arguments.rs`: the command line that such examples share.
//! - `teaching.rs`, `training.rs`: a teacher, a student.

pub mod arguments;
pub mod problem;
mod teaching;
mod training;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tch::{Device, nn::VarStore};

use self::{
    arguments::{LabArguments, Settings},
    problem::Problem,
};
use crate::support::{
    methods::Method, parallel::in_parallel, progress::Bars, results::Results, summary::Summary,
};

/// One run of the whole comparison.
pub struct Lab {
    pub seed: u64,
    pub device: Device,
    pub jobs: usize,
    pub methods: Vec<Method>,
    pub settings: Settings,
    pub out: PathBuf,
}

/// Runs the comparison for every seed asked for and writes what it finds into the output folder;
/// `problem(seed, folder)` makes the problem, and may leave files in the seed's folder.
pub fn compare(
    arguments: &LabArguments,
    mut problem: impl FnMut(u64, &Path) -> Result<Problem>,
) -> Result<()> {
    let (mut summaries, mut described) = (Vec::new(), None);
    for seed in arguments.seeds() {
        let folder = arguments.folder(seed);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("create the folder {}", folder.display()))?;
        let mut problem = problem(seed, &folder)?;
        if arguments.smoke {
            problem = problem.first(48)?;
        }
        let lab = arguments.lab(seed, folder.clone());
        println!("{problem}\nseed {seed}, {}, {} at a time", lab.settings, lab.jobs);
        let summary = lab.run(&problem)?;
        let path = folder.join("summary.json");
        write(&path, serde_json::to_string_pretty(&summary)? + "\n")?;
        write(&folder.join("settings.json"), serde_json::to_string_pretty(&lab.settings)? + "\n")?;
        println!("{summary}\nWrote {} and a CSV file a training beside it.", path.display());
        summaries.push(summary);
        described = Some((problem.to_string(), lab.settings.to_string()));
    }
    if let (Some((data, setting)), 2..) = (described, summaries.len()) {
        let results = Results::new(&data, &setting, &summaries)?;
        results.write(&arguments.out)?;
        let out = arguments.out.display();
        println!("{}\nWrote results.json, table.md and figure.svg in {out}.", results.table()?);
    }
    Ok(())
}

fn write(path: &Path, text: String) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

impl Lab {
    /// Trains everything and tests each result once.
    fn run(&self, problem: &Problem) -> Result<Summary> {
        let modalities = problem.splits.train.modalities().to_vec();
        let mut summary = Summary::new(self.seed, &modalities, problem.task.metrics());
        if let Some((name, scores)) = problem.baseline()? {
            summary.baselines.insert(name, scores);
        }
        let bars = Bars::default();
        // Networks are made one after the other: torch's random generator is one for the process.
        let untaught = (0..modalities.len())
            .map(|m| Ok((m, self.untaught(m, problem)?, problem.share())))
            .collect::<Result<Vec<_>>>()?;
        let taught = in_parallel(self.jobs, untaught, |(m, (vs, net), problem)| {
            self.teach(m, vs, net, &problem, &bars)
        })?;
        for (modality, (_, teacher)) in modalities.iter().zip(&taught) {
            summary.teachers.insert(modality.name().to_owned(), teacher.clone());
        }
        let student = |&method: &Method| {
            tch::manual_seed(self.seed as i64);
            let vs = VarStore::new(self.device);
            let student = problem.student(&vs)?;
            let asked = method.uses_teachers();
            let teachers = taught.iter().filter(|_| asked).map(|(cache, _)| cache.share());
            Ok((method, vs, student, teachers.collect::<Vec<_>>(), problem.share()))
        };
        let students = self.methods.iter().map(student).collect::<Result<Vec<_>>>()?;
        let trained =
            in_parallel(self.jobs, students, |(method, vs, student, teachers, problem)| {
                Ok((method, self.train(method, vs, &student, teachers, &problem, &bars)?))
            })?;
        for (method, result) in trained {
            summary.methods.insert(method.key().to_owned(), result);
        }
        Ok(summary)
    }
}
