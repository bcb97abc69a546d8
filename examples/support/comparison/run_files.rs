//! The files by which an interrupted comparison resumes: its settings, trained teachers, and results
//! of trained students.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use g2d::weights;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tch::nn::VarStore;

use crate::support::ranks;

/// The settings of the comparison.
const SETTINGS: &str = "settings.json";
/// The result of a training, written when it is complete; also that of the comparison.
const RESULT: &str = "summary.json";
const TEACHERS: &str = "teachers";
const CHECKPOINTS: &str = "checkpoints";

/// The output folder of a comparison.
pub struct RunFiles {
    folder: PathBuf,
    resume: bool,
}

impl RunFiles {
    /// Opens the output folder of a comparison of `methods` with `settings`: keeps the files of an
    /// interrupted run if `resume`, otherwise removes them.
    pub fn open(folder: &Path, resume: bool, settings: &Value, methods: &[&str]) -> Result<Self> {
        let files = Self { folder: folder.to_owned(), resume };
        let path = folder.join(SETTINGS);
        if resume && path.exists() {
            let found: Value = read(&path)?;
            if found != *settings {
                bail!(
                    "{} contains a run with other settings: expected {settings}, found {found}; \
                     resume it with its own settings, or choose another folder",
                    folder.display()
                );
            }
            return Ok(files);
        }
        let students = methods.iter().map(|method| files.student(method));
        let old = students.flat_map(|student| [student.join(CHECKPOINTS), student.join(RESULT)]);
        old.chain([folder.join(TEACHERS), folder.join(RESULT)]).try_for_each(|old| remove(&old))?;
        write(&path, settings)?;
        Ok(files)
    }

    /// The output folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The run folder of the student of a method.
    pub fn student(&self, method: &str) -> PathBuf {
        self.folder.join(method)
    }

    /// The folder of the snapshots of a student: that of rank 0, in which the folders of the others are.
    pub fn checkpoints(&self, method: &str) -> PathBuf {
        let first = match ranks::part().rank {
            0 => &self.folder,
            _ => self.folder.parent().unwrap_or(&self.folder),
        };
        first.join(method).join(CHECKPOINTS)
    }

    /// The result of the student of a method, if its training is complete.
    pub fn student_result<T: DeserializeOwned>(&self, method: &str) -> Result<Option<T>> {
        let path = self.student(method).join(RESULT);
        if self.resume && path.exists() { read(&path).map(Some) } else { Ok(None) }
    }

    /// Saves the result of a student.
    pub fn save_student_result(&self, method: &str, result: &impl Serialize) -> Result<()> {
        write(&self.student(method).join(RESULT), result)
    }

    /// Loads the weights of a trained teacher into `vs` and returns its result, if its training is
    /// complete.
    pub fn load_teacher<T: DeserializeOwned>(
        &self,
        name: &str,
        vs: &mut VarStore,
    ) -> Result<Option<T>> {
        let (result, file) = self.teacher_files(name);
        if !self.resume || !result.exists() {
            return Ok(None);
        }
        weights::load(vs, file)?;
        read(&result).map(Some)
    }

    /// Saves a trained teacher.
    pub fn save_teacher(&self, name: &str, vs: &VarStore, result: &impl Serialize) -> Result<()> {
        let (path, file) = self.teacher_files(name);
        fs::create_dir_all(self.folder.join(TEACHERS)).context("create the folder of teachers")?;
        weights::save(vs, file)?;
        write(&path, result)
    }

    /// Saves the result of the comparison.
    pub fn save_summary(&self, summary: &impl Serialize) -> Result<()> {
        write(&self.folder.join(RESULT), summary)
    }

    fn teacher_files(&self, name: &str) -> (PathBuf, PathBuf) {
        let folder = self.folder.join(TEACHERS);
        (folder.join(format!("{name}.json")), folder.join(format!("{name}.safetensors")))
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text)
        .with_context(|| format!("{} is not a file of a run", path.display()))
}

/// Writes a file atomically.
fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    let partial = path.with_extension("part");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("write {}", path.display()))
}

/// Removes a file or a folder, if it exists.
fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
