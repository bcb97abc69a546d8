//! What a snapshot holds of a run.

use tch::nn::VarStore;

use crate::{
    error::{self, Result},
    optim::Optimizer,
    trainer::G2dTrainer,
};

/// The trainer, weights and optimizers of a run, each by its name in the snapshot.
#[must_use = "parts are for `SnapshotFolder::save` and `SnapshotFolder::resume`"]
pub struct RunParts<'a> {
    pub(super) trainer: &'a mut G2dTrainer,
    pub(super) weights: Vec<(String, &'a mut VarStore)>,
    pub(super) optimizers: Vec<(String, &'a mut Optimizer)>,
}

impl<'a> RunParts<'a> {
    /// A run of `trainer`.
    pub fn new(trainer: &'a mut G2dTrainer) -> Self {
        Self { trainer, weights: Vec::new(), optimizers: Vec::new() }
    }

    /// Adds the parameters and buffers of `vs`; call it for every `VarStore` that learns.
    pub fn weights(mut self, name: impl Into<String>, vs: &'a mut VarStore) -> Self {
        self.weights.push((name.into(), vs));
        self
    }

    /// Adds an optimizer.
    pub fn optimizer(mut self, name: impl Into<String>, optimizer: &'a mut Optimizer) -> Self {
        self.optimizers.push((name.into(), optimizer));
        self
    }

    /// The files that these parts are in, in the order of the parts.
    ///
    /// # Errors
    /// For names that are no file names, or that repeat.
    pub(super) fn files(&self) -> Result<(Vec<String>, Vec<String>)> {
        let weights = self.weights.iter().map(|(name, _)| name.as_str());
        let weights = files(weights, "weights")?;
        let optimizers = self.optimizers.iter().map(|(name, _)| name.as_str());
        Ok((weights, files(optimizers, "optimizer")?))
    }
}

fn files<'n>(names: impl Iterator<Item = &'n str>, what: &str) -> Result<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    for name in names {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let file = format!("{name}.{what}.safetensors");
        if name.is_empty() || !name.chars().all(plain) || all.contains(&file) {
            return Err(error::config(
                format!("name of {what} in a snapshot"),
                "ASCII letters, digits, '-' and '_', each name once",
                format!("{name:?}"),
                "call it \"student\", say",
            ));
        }
        all.push(file);
    }
    Ok(all)
}
