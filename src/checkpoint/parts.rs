//! The parts of a run that a snapshot holds.

use std::path::Path;

use tch::{Device, Tensor, nn::VarStore};

use super::{
    generators::{self, Streams},
    manifest::Manifest,
};
use crate::algorithm::Algorithm;
use crate::error::{self, Error, Result};
use crate::optim::Optimizer;
use crate::state::State;
use crate::weights;

/// The trainer or another [`Algorithm`], weights and optimizers of a run, for one call. Weights and
/// optimizers have names in the snapshot.
///
/// [`ResumableRun`](super::ResumableRun) holds the parts for the whole run.
#[must_use = "parts are for `SnapshotFolder::save` and `SnapshotFolder::resume`"]
pub struct RunParts<'a> {
    trainer: &'a mut dyn Algorithm,
    weights: Vec<Named<&'a VarStore>>,
    optimizers: Vec<Named<&'a mut Optimizer>>,
}

/// The name of the algorithm's own store in a snapshot.
const STORE: &str = "algorithm";

/// A part with its name.
struct Named<P> {
    name: String,
    part: P,
}

impl<'a> RunParts<'a> {
    /// The parts of a run of `trainer`, a [`G2dTrainer`](crate::G2dTrainer) or another algorithm.
    pub fn new(trainer: &'a mut dyn Algorithm) -> Self {
        Self { trainer, weights: Vec::new(), optimizers: Vec::new() }
    }

    /// Adds the parameters and buffers of `vs`. Add every `VarStore` that is trained.
    pub fn weights(mut self, name: impl Into<String>, vs: &'a VarStore) -> Self {
        self.weights.push(Named { name: name.into(), part: vs });
        self
    }

    /// Adds an optimizer.
    pub fn optimizer(mut self, name: impl Into<String>, optimizer: &'a mut Optimizer) -> Self {
        self.optimizers.push(Named { name: name.into(), part: optimizer });
        self
    }

    /// The device of the run.
    pub(super) fn device(&self) -> Device {
        self.trainer.device()
    }

    /// The number of this rank, of which the first writes the snapshot.
    pub(super) fn rank(&self) -> usize {
        self.trainer.rank()
    }

    /// The outcome of all ranks: [`Algorithm::agree`].
    pub(super) fn agree(&mut self, outcome: Result<f64>) -> Result<f64> {
        self.trainer.agree(outcome)
    }

    /// The states of the random number generators of all ranks, from `own`, as
    /// [`generators::save`] takes them.
    pub(super) fn gather(&mut self, own: &[Tensor]) -> Result<Vec<Vec<Tensor>>> {
        own.iter().map(|state| self.trainer.gather(state)).collect()
    }

    /// The manifest of a snapshot of these parts.
    ///
    /// # Errors
    /// [`Error::Config`] for a name that is not valid, and any error of [`Algorithm::state`].
    pub(super) fn manifest(&mut self, caller: State, score: Option<f64>) -> Result<Manifest> {
        let [weights, optimizers] = self.files()?;
        Ok(Manifest::new(self.trainer.state()?, caller, score, weights, optimizers))
    }

    /// Writes all files of a snapshot except its manifest. `generators` are those that
    /// [`gather`](Self::gather) returned.
    pub(super) fn save(
        &self,
        manifest: &Manifest,
        generators: &[Vec<Tensor>],
        folder: &Path,
    ) -> Result<()> {
        for (file, vs) in manifest.weights.iter().zip(self.stores()) {
            weights::save(vs, folder.join(file))?;
        }
        for (file, Named { part, .. }) in manifest.optimizers.iter().zip(&self.optimizers) {
            part.save(folder.join(file))?;
        }
        generators::save(self.trainer.device(), generators, folder)
    }

    /// Reads and checks all files of a snapshot, and restores the parts after that.
    ///
    /// # Errors
    /// [`Error::Data`] for a snapshot of other parts, and any error of a part. All parts are
    /// unchanged then.
    pub(super) fn load(&mut self, manifest: &Manifest, folder: &Path) -> Result<()> {
        let [weights, optimizers] = self.files()?;
        for (what, here, there) in [
            ("weights in the snapshot", weights, &manifest.weights),
            ("optimizers in the snapshot", optimizers, &manifest.optimizers),
        ] {
            if here != *there {
                let [here, there] = [&here, there].map(|files| format!("{files:?}"));
                return Err(Error::data(folder, what, here, there, HINT));
            }
        }
        manifest.check_files(folder)?;
        let weights = manifest.weights.iter().zip(self.stores());
        let weights = weights.map(|(file, vs)| weights::read(vs, &folder.join(file)));
        let weights = weights.collect::<Result<Vec<_>>>()?;
        let optimizers = manifest.optimizers.iter().zip(&self.optimizers);
        let optimizers = optimizers.map(|(file, own)| own.part.read(&folder.join(file)));
        let optimizers = optimizers.collect::<Result<Vec<_>>>()?;
        let streams = Streams::read(self.trainer.device(), folder, self.trainer.rank())?;

        self.trainer.restore(&manifest.trainer)?;
        weights.into_iter().try_for_each(weights::Loaded::apply)?;
        for (own, state) in self.optimizers.iter_mut().zip(optimizers) {
            own.part.restore(state);
        }
        streams.restore()
    }

    /// The stores of the weights, then that of the algorithm, if it has one.
    fn stores(&self) -> impl Iterator<Item = &VarStore> {
        self.weights.iter().map(|named| named.part).chain(self.trainer.store())
    }

    /// Refuses names that are not valid in a snapshot.
    pub(super) fn check_names(&self) -> Result<()> {
        self.files().map(drop)
    }

    /// The files of the weights and those of the optimizers, in the order of the parts.
    fn files(&self) -> Result<[Vec<String>; 2]> {
        let own = self.trainer.store().map(|_| STORE.to_owned());
        let weights = self.weights.iter().map(|vs| vs.name.clone()).chain(own);
        let optimizers = self.optimizers.iter().map(|optimizer| optimizer.name.clone());
        Ok([files(weights, "weights")?, files(optimizers, "optimizer")?])
    }
}

/// The files of parts with these names.
fn files(names: impl Iterator<Item = String>, what: &str) -> Result<Vec<String>> {
    let mut files: Vec<String> = Vec::new();
    for name in names {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let file = file(&name, what);
        if name.is_empty() || !name.chars().all(is_legal) || files.contains(&file) {
            return Err(error::config(
                format!("name of {what} in a snapshot"),
                "ASCII letters, digits, '-' and '_', each name once",
                format!("{name:?}"),
                "choose a name such as \"student\"",
            ));
        }
        files.push(file);
    }
    Ok(files)
}

/// The file of the part `name`, which is "weights" or an "optimizer".
pub(super) fn file(name: &str, what: &str) -> String {
    format!("{name}.{what}.safetensors")
}

/// The hint for a snapshot of other parts.
pub(super) const HINT: &str =
    "resume with the parts that the run was started with, in the same order";
