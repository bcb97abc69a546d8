//! One snapshot, in.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tch::nn::VarStore;

use super::{
    RunParts,
    manifest::{Manifest, RANDOM},
    write::{generators, name},
};
use crate::{
    error::{Error, Result},
    file::tensors::TensorFile,
    libtorch,
    schedule::Progress,
    weights,
};

const HINT: &str = "resume with the parts that the run was started with, in their order";

/// A snapshot on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    pub(super) path: PathBuf,
    pub(super) number: u64,
    progress: Progress,
    score: Option<f64>,
    created: String,
}

impl Snapshot {
    /// Reads what the snapshot in the folder `path` says of itself.
    ///
    /// # Errors
    /// [`Error::Io`] if there is none; [`Error::Data`] if its manifest is cut, altered, foreign or of a
    /// newer format.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::numbered(path.as_ref(), 0)
    }

    pub(super) fn numbered(path: &Path, number: u64) -> Result<Self> {
        let Manifest { trainer, score, created, .. } = Manifest::read(path)?;
        Ok(Self { path: path.to_path_buf(), number, progress: trainer.progress(), score, created })
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the run stood.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The score that it was saved with, a validation accuracy say.
    pub fn score(&self) -> Option<f64> {
        self.score
    }

    /// When it was written: UTC, as RFC 3339.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Puts `parts` back to where they stood; returns the caller's own state.
    ///
    /// Everything is read and checked first: sizes and digests of all files, names, shapes and kinds
    /// of weights and moments, the trainer's modalities, scheduler, probes and modulation.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Data`] for a snapshot that is cut, altered, foreign, newer or of other
    /// parts, [`Error::Config`] for another trainer. Nothing has changed then.
    pub fn load<T: DeserializeOwned>(&self, parts: &mut RunParts<'_>) -> Result<T> {
        let manifest = Manifest::read(&self.path)?;
        let (weights, optimizers) = parts.files()?;
        let same = |what: &str, here: &[String], there: &[String]| {
            if here == there {
                return Ok(());
            }
            let [here, there] = [here, there].map(|files| format!("{files:?}"));
            Err(Error::data(&self.path, what, here, there, HINT))
        };
        same("weights in the snapshot", &weights, &manifest.weights)?;
        same("optimizers in the snapshot", &optimizers, &manifest.optimizers)?;
        manifest.check_files(&self.path)?;
        let caller: T = manifest.caller.read("the caller")?;

        let at = |file: &String| self.path.join(file);
        let read = weights.iter().zip(&parts.weights);
        let loaded = read.map(|(file, (_, vs))| weights::read(vs, &at(file)));
        let loaded = loaded.collect::<Result<Vec<_>>>()?;
        let read = optimizers.iter().zip(&parts.optimizers);
        let moments = read.map(|(file, (_, optimizer))| optimizer.read(&at(file)));
        let moments = moments.collect::<Result<Vec<_>>>()?;
        let random = TensorFile::read(&self.path.join(RANDOM))?.tensors()?;

        parts.trainer.restore(&manifest.trainer)?;
        loaded.into_iter().try_for_each(weights::Loaded::apply)?;
        for ((_, optimizer), moments) in parts.optimizers.iter_mut().zip(moments) {
            optimizer.take(moments);
        }
        for device in generators(parts.trainer.device()) {
            if let Some(state) = random.get(&name(device)) {
                libtorch::restore_generator(device, state)?;
            }
        }
        Ok(caller)
    }

    /// Puts the weights alone into `vs`: those that were saved as `name`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_weights(&self, name: &str, vs: &mut VarStore) -> Result<()> {
        let manifest = Manifest::read(&self.path)?;
        let file = format!("{name}.weights.safetensors");
        if !manifest.weights.contains(&file) {
            let (expected, found) = (format!("{file:?}"), format!("{:?}", manifest.weights));
            return Err(Error::data(&self.path, "weights", expected, found, HINT));
        }
        manifest.check_files(&self.path)?;
        weights::load(vs, self.path.join(file))
    }
}
