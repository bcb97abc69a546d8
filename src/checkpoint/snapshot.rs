//! A snapshot: writing and loading.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tch::nn::VarStore;

use super::{
    RunParts, generators,
    manifest::Manifest,
    parts::{HINT, file},
};
use crate::error::{Error, Result};
use crate::file::atomic;
use crate::schedule::Progress;
use crate::state::State;
use crate::weights;

/// A snapshot on disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    path: PathBuf,
    progress: Progress,
    score: Option<f64>,
    created: String,
}

impl Snapshot {
    /// Opens the snapshot in the folder `path` and reads its manifest.
    ///
    /// # Errors
    /// [`Error::Io`] without a manifest; [`Error::Data`] if the manifest is damaged, of a newer
    /// format, or not of a snapshot.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Ok(Self::new(path.as_ref(), Manifest::read(path.as_ref())?))
    }

    fn new(path: &Path, manifest: Manifest) -> Self {
        let Manifest { trainer, score, created, .. } = manifest;
        Self { path: path.to_path_buf(), progress: trainer.progress(), score, created }
    }

    /// Atomically writes a snapshot of `parts` to the new folder `path`.
    ///
    /// # Errors
    /// Any error of [`G2dTrainer::state`](crate::G2dTrainer::state); [`Error::Io`] if the snapshot
    /// cannot be written.
    pub(super) fn write(
        path: &Path,
        parts: &mut RunParts<'_>,
        caller: State,
        score: Option<f64>,
    ) -> Result<Self> {
        let mut generators = Vec::new();
        let own = generators::own(parts.device()).map(|own| {
            generators = own;
            score.unwrap_or(f64::NAN)
        });
        let score = parts.agree(own)?;
        let generators = parts.gather(&generators)?;
        let mut manifest = parts.manifest(caller, (!score.is_nan()).then_some(score))?;
        let written = match parts.rank() {
            1.. => Ok(()),
            0 => atomic::write_folder(path, |folder| {
                parts.save(&manifest, &generators, folder)?;
                manifest.write(folder)
            }),
        };
        parts.agree(written.map(|()| 0.0))?;
        Ok(Self::new(path, manifest))
    }

    /// The folder of the snapshot.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The position in the training run.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// The score that was passed to [`SnapshotFolder::save`](super::SnapshotFolder::save).
    pub fn score(&self) -> Option<f64> {
        self.score
    }

    /// The time of writing: UTC, as RFC 3339.
    pub fn created(&self) -> &str {
        &self.created
    }

    /// Restores `parts` and returns the state of the caller's loop.
    ///
    /// Before a part changes, everything is checked: sizes and digests of all files;
    /// names, shapes and dtypes of weights and moments; the trainer's modalities, scheduler, probes
    /// and modulation.
    ///
    /// # Errors
    /// [`Error::Io`] for a file that cannot be read, [`Error::Data`] for a snapshot that is
    /// damaged, of a newer format, or of other parts, [`Error::Config`] for that of a trainer with
    /// another configuration. All parts are unchanged then, unless the disk fails while the weights are read
    /// again to be copied.
    pub fn load<T: DeserializeOwned>(&self, parts: &mut RunParts<'_>) -> Result<T> {
        let manifest = Manifest::read(&self.path)?;
        let caller = manifest.caller.read("the caller")?;
        parts.load(&manifest, &self.path)?;
        Ok(caller)
    }

    /// Loads only the weights that were saved as `name`, into `vs`.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_weights(&self, name: &str, vs: &VarStore) -> Result<()> {
        self.load_all_weights([(name, vs)])
    }

    /// Loads the weights that were saved as each name. All stores are unchanged after an error.
    pub(super) fn load_all_weights<'a>(
        &self,
        weights: impl IntoIterator<Item = (&'a str, &'a VarStore)>,
    ) -> Result<()> {
        let manifest = Manifest::read(&self.path)?;
        manifest.check_files(&self.path)?;
        let read = |(name, vs)| {
            let file = file(name, "weights");
            if !manifest.weights.contains(&file) {
                let found = format!("{:?}", manifest.weights);
                return Err(Error::data(&self.path, "weights", format!("{file:?}"), found, HINT));
            }
            weights::read(vs, &self.path.join(file))
        };
        let loaded = weights.into_iter().map(read).collect::<Result<Vec<_>>>()?;
        loaded.into_iter().try_for_each(weights::Loaded::apply)
    }
}
