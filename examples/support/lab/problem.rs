//! What is given.

use std::{fmt, path::PathBuf, sync::Arc};

use anyhow::{Result, ensure};
use g2d::{
    Modality, ModalityParams, Student,
    paper::networks::{MixedConfig, MixedNetwork, UnimodalNetwork},
    teacher::UnimodalModel,
};
use tch::nn::VarStore;

use super::{source::Source, task::Task};
use crate::support::metric::Scores;

/// The three splits that all trainings see.
pub struct Splits {
    pub train: Source,
    pub val: Source,
    pub test: Source,
}

/// Data, networks and the task.
pub struct Problem {
    pub name: String,
    pub modalities: Vec<Modality>,
    pub splits: Splits,
    pub networks: Arc<dyn Networks>,
    pub task: Task,
}

/// A student, and whose parameters are whose.
pub type Parts = (Box<dyn Student + Send>, ModalityParams);

/// Makes networks, freshly initialised by torch's generator.
pub trait Networks: Send + Sync {
    fn student(&self, vs: &VarStore) -> Result<Parts>;
    fn teacher(&self, m: usize, vs: &VarStore) -> Result<Box<dyn UnimodalModel + Send>>;
}

/// Networks over images, tables and sequences.
#[allow(dead_code, reason = "audio_visual has its own")]
pub struct Mixed {
    pub config: MixedConfig,
    /// ImageNet weights of the image backbones.
    pub backbone_weights: Option<PathBuf>,
}

impl Networks for Mixed {
    fn student(&self, vs: &VarStore) -> Result<Parts> {
        let network = MixedNetwork::new(vs, &self.config)?;
        if let Some(file) = &self.backbone_weights {
            network.load_image_weights(vs, file)?;
        }
        let encoders = network.encoder_params(vs)?;
        Ok((Box::new(network), encoders))
    }

    fn teacher(&self, m: usize, vs: &VarStore) -> Result<Box<dyn UnimodalModel + Send>> {
        ensure!(m < self.config.encoders.len(), "the network has no modality {m}");
        let encoder = &self.config.encoders[m].1;
        let network = UnimodalNetwork::new(vs, encoder, self.config.outputs)?;
        if let (Some(file), true) = (&self.backbone_weights, encoder.is_image()) {
            network.load_image_weights(vs, file)?;
        }
        Ok(Box::new(network))
    }
}

impl Splits {
    /// All in memory.
    #[allow(dead_code, reason = "audio_visual has clips too")]
    pub fn in_memory([train, val, test]: [g2d::data::InMemory; 3]) -> Self {
        let [train, val, test] = [train, val, test].map(Source::Memory);
        Self { train, val, test }
    }
}

impl Problem {
    /// The first `n` samples of each split.
    pub fn first(self, n: usize) -> Result<Self> {
        let Splits { train, val, test } = self.splits;
        let splits = Splits { train: train.first(n)?, val: val.first(n)?, test: test.first(n)? };
        Ok(Self { splits, ..self })
    }

    /// A handle on the same samples for another thread.
    pub fn share(&self) -> Self {
        let Splits { train, val, test } = &self.splits;
        Self {
            name: self.name.clone(),
            modalities: self.modalities.clone(),
            splits: Splits { train: train.share(), val: val.share(), test: test.share() },
            networks: Arc::clone(&self.networks),
            task: self.task.clone(),
        }
    }

    /// What the training targets alone predict for the test samples: their mean. Of classes, nothing.
    pub fn baseline(&self) -> Result<Option<(String, Scores)>> {
        let Some(targets) = self.splits.test.targets() else { return Ok(None) };
        let names = self.task.metrics().iter().map(|metric| metric.on("test"));
        let found = self.task.baseline(targets)?;
        Ok(found
            .map(|values| ("mean of the training targets".to_owned(), names.zip(values).collect())))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Splits { train, val, test } = &self.splits;
        let (name, train, val, test) = (&self.name, train.len(), val.len(), test.len());
        write!(f, "{name}: {train} training, {val} validation, {test} test samples")
    }
}
