//! What a comparison leaves in its folder, so that it goes on after a crash: its settings, each teacher
//! and each result once it is there, and snapshots of the students that are being trained.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use g2d::{
    EpochReport, Error, G2dTrainer,
    checkpoint::{RunParts, SnapshotFolder},
    optim::Optimizer,
    weights::{self, BestEpoch},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;
use tch::nn::VarStore;

use super::{Lab, problem::Problem, write};

/// The settings that a folder belongs to.
const SETTINGS: &str = "settings.json";
/// A training's result, there once it has ended.
const RESULT: &str = "summary.json";
const TEACHERS: &str = "teachers";
const CHECKPOINTS: &str = "checkpoints";
/// Its weights in a snapshot.
const STUDENT: &str = "student";

impl Lab {
    /// Takes the folder: goes on with what is there where that was asked for, else removes it.
    pub(super) fn claim(&self, problem: &Problem) -> Result<()> {
        let mut settings = self.config.clone();
        settings["data"] = json!(problem.to_string());
        let path = self.out.join(SETTINGS);
        if self.resume && path.exists() {
            let there: serde_json::Value = read(&path)?;
            if there != settings {
                bail!(
                    "{} has a run with other settings: expected {settings}, found {there}; resume it \
                     with those, or start in another folder",
                    self.out.display()
                );
            }
            return Ok(());
        }
        let methods = self.methods.iter().map(|method| self.out.join(method.key()));
        let old = methods.flat_map(|run| [run.join(CHECKPOINTS), run.join(RESULT)]);
        old.chain([self.out.join(TEACHERS), self.out.join(RESULT)])
            .try_for_each(|old| remove(&old))?;
        write(&path, serde_json::to_string_pretty(&settings)? + "\n")
    }

    /// The result of what is trained as `key`, if that has ended.
    pub(super) fn finished<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let path = self.out.join(key).join(RESULT);
        if self.resume && path.exists() { read(&path).map(Some) } else { Ok(None) }
    }

    /// Says that the training `key` has ended.
    pub(super) fn finish(&self, key: &str, result: &impl Serialize) -> Result<()> {
        write(&self.out.join(key).join(RESULT), serde_json::to_string_pretty(result)? + "\n")
    }

    /// Loads a teacher that was trained before, and what was found of it.
    pub(super) fn known_teacher<T: DeserializeOwned>(
        &self,
        name: &str,
        vs: &mut VarStore,
    ) -> Result<Option<T>> {
        let (found, file) = self.teacher_files(name);
        if !self.resume || !found.exists() {
            return Ok(None);
        }
        weights::load(vs, file)?;
        read(&found).map(Some)
    }

    /// Keeps a teacher that was trained.
    pub(super) fn keep_teacher(
        &self,
        name: &str,
        vs: &VarStore,
        found: &impl Serialize,
    ) -> Result<()> {
        let (place, file) = self.teacher_files(name);
        fs::create_dir_all(self.out.join(TEACHERS)).context("create a folder for teachers")?;
        weights::save(vs, file)?;
        write(&place, serde_json::to_string_pretty(found)? + "\n")
    }

    fn teacher_files(&self, name: &str) -> (PathBuf, PathBuf) {
        let folder = self.out.join(TEACHERS);
        (folder.join(format!("{name}.json")), folder.join(format!("{name}.safetensors")))
    }
}

/// A student's snapshots.
pub struct Saving {
    checkpoints: SnapshotFolder,
    every: Option<u64>,
}

/// What a training's loop remembers beside trainer, optimizer and weights.
#[derive(Default)]
pub struct Standing {
    /// Of the epochs that are done.
    pub reports: Vec<EpochReport>,
    pub best: BestEpoch,
}

impl Saving {
    /// Opens the student's folder and goes on from its newest snapshot, if there is one.
    pub fn begin(
        folder: &Path,
        every: Option<u64>,
        trainer: &mut G2dTrainer,
        vs: &mut VarStore,
        optimizer: &mut Optimizer,
    ) -> Result<(Self, Standing)> {
        let checkpoints = SnapshotFolder::open(folder.join(CHECKPOINTS))?;
        let mut at = Standing::default();
        if let Some(best) = checkpoints.best() {
            best.load_weights(STUDENT, vs)?;
            at.best.keep(best.score().unwrap_or(f64::NEG_INFINITY), vs)?;
        }
        at.reports = checkpoints.resume(&mut parts(trainer, vs, optimizer))?.unwrap_or_default();
        Ok((Self { checkpoints, every }, at))
    }

    /// Is a snapshot due behind this step?
    pub fn is_due(&self, trainer: &G2dTrainer) -> bool {
        self.every.is_some_and(|every| trainer.progress().total_steps.is_multiple_of(every))
    }

    /// Writes a snapshot. A disk that refuses does not end the training: it is told.
    pub fn save(
        &mut self,
        at: &Standing,
        score: Option<f64>,
        trainer: &mut G2dTrainer,
        vs: &mut VarStore,
        optimizer: &mut Optimizer,
    ) -> Result<()> {
        match self.checkpoints.save(&mut parts(trainer, vs, optimizer), &at.reports, score) {
            Ok(_) => Ok(()),
            Err(error @ Error::Io { .. }) => {
                eprintln!("no snapshot: {error}");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn parts<'a>(
    trainer: &'a mut G2dTrainer,
    vs: &'a mut VarStore,
    optimizer: &'a mut Optimizer,
) -> RunParts<'a> {
    RunParts::new(trainer).weights(STUDENT, vs).optimizer("sgd", optimizer)
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not a run's", path.display()))
}

/// Removes a file or a folder, if it is there.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
