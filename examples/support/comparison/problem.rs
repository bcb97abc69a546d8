//! Data, networks and the task.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Result, ensure};
use g2d::{
    Modality, ModalityParams, Student,
    data::InMemory,
    paper::networks::{MixedConfig, MixedFusion, MixedNetwork, UnimodalNetwork},
    teacher::UnimodalModel,
};
use tch::nn::VarStore;

use super::{split::SplitData, task::PredictionTask};
use crate::support::{
    composition::{FusionTraits, StudentDesign},
    metric::{Scores, with_keys},
};

/// The share of the training data that is held out for validation if the data set has no validation
/// split.
pub const HELD_OUT: f64 = 0.1;

/// The three splits.
pub struct Splits {
    pub train: SplitData,
    pub val: SplitData,
    pub test: SplitData,
}

/// Data, networks and the task.
pub struct Problem {
    pub name: String,
    pub modalities: Vec<Modality>,
    pub splits: Splits,
    pub networks: Arc<dyn Networks>,
    pub task: PredictionTask,
}

/// Creates networks, initialised by the random generator of libtorch.
pub trait Networks: Send + Sync {
    /// The student and the parameters of its encoders.
    fn student(
        &self,
        vs: &VarStore,
        design: &StudentDesign,
    ) -> Result<(Box<dyn Student + Send>, ModalityParams)>;

    /// What the fusion is.
    fn fusion(&self) -> FusionTraits;

    /// The teacher of modality `m`.
    fn teacher(&self, m: usize, vs: &VarStore) -> Result<Box<dyn UnimodalModel + Send>>;
}

/// Networks over images, tables and sequences.
pub struct MixedNetworks {
    pub config: MixedConfig,
    /// A file with ImageNet weights of the image backbones.
    pub backbone_weights: Option<PathBuf>,
}

impl Networks for MixedNetworks {
    fn student(
        &self,
        vs: &VarStore,
        design: &StudentDesign,
    ) -> Result<(Box<dyn Student + Send>, ModalityParams)> {
        let mut network = MixedNetwork::new(vs, &self.config)?;
        if let Some(file) = &self.backbone_weights {
            network.load_image_weights(vs, file)?;
        }
        if design.heads {
            let network = network.with_heads(vs)?;
            let encoders = network.student().encoder_params(vs)?;
            return Ok((Box::new(network), encoders));
        }
        if let Some(weights) = &design.weights {
            network = network.with_fusion_weights(vs, weights)?;
        }
        let encoders = network.encoder_params(vs)?;
        Ok((Box::new(network), encoders))
    }

    fn fusion(&self) -> FusionTraits {
        let fusion = self.config.fusion;
        FusionTraits {
            late: fusion == MixedFusion::Late,
            slices: matches!(fusion, MixedFusion::Late | MixedFusion::Concat),
        }
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
    pub fn in_memory([train, val, test]: [InMemory; 3]) -> Self {
        let [train, val, test] = [train, val, test].map(SplitData::Memory);
        Self { train, val, test }
    }

    /// The splits that `change` makes of each of them.
    pub fn try_map(self, change: impl Fn(SplitData) -> Result<SplitData>) -> Result<Self> {
        let Self { train, val, test } = self;
        Ok(Self { train: change(train)?, val: change(val)?, test: change(test)? })
    }
}

impl Problem {
    /// A problem with all samples in memory and networks over images, tables and sequences.
    pub fn mixed(
        name: String,
        splits: [InMemory; 3],
        networks: MixedNetworks,
        task: PredictionTask,
    ) -> Self {
        let modalities = splits[0].modalities().to_vec();
        let splits = Splits::in_memory(splits);
        Self { name, modalities, splits, networks: Arc::new(networks), task }
    }

    /// The same problem with the first `n` samples of each split.
    pub fn first(self, n: usize) -> Result<Self> {
        let splits = self.splits.try_map(|split| Ok(split.first(n)?))?;
        Ok(Self { splits, ..self })
    }

    /// The same problem for another thread.
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

    /// The metrics of a model that always predicts the mean of the training targets; `None` for
    /// classification.
    pub fn target_mean(&self) -> Result<Option<Scores>> {
        let mut scores = Scores::new();
        for (name, split) in [("val", &self.splits.val), ("test", &self.splits.test)] {
            let Some(targets) = split.targets() else { return Ok(None) };
            let Some(values) = self.task.mean_baseline(targets)? else { return Ok(None) };
            scores.extend(with_keys(self.task.metrics(), name, &values));
        }
        Ok(Some(scores))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Splits { train, val, test } = &self.splits;
        let (name, train, val, test) = (&self.name, train.len(), val.len(), test.len());
        write!(f, "{name}: {train} training, {val} validation, {test} test samples")
    }
}

/// Holds out a part of `train` for validation if there is no validation split.
pub fn with_validation(
    train: InMemory,
    val: Option<InMemory>,
    seed: u64,
) -> g2d::Result<(InMemory, InMemory)> {
    match val {
        Some(val) => Ok((train, val)),
        None => train.hold_out(HELD_OUT, seed),
    }
}

/// The name of a data folder, without its location, so that results do not depend on it.
pub fn data_name(folder: &Path) -> String {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
    absolute.file_name().unwrap_or(absolute.as_os_str()).to_string_lossy().into_owned()
}
