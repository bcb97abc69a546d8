//! What all trainings of a comparison share.

use g2d::{
    data::Part,
    loss::Distillation,
    optim::{LrSchedule, SgdConfig},
    trainer::KeepWeights,
};
use serde_json::Value;
use tch::Device;

use super::{
    compute::ComputeConfig,
    split::{BatchIterator, SplitData},
};
use crate::support::{composition::MethodConfig, ranks};

/// The hyper-parameters of all trainings.
#[derive(Debug, Clone)]
pub struct TrainingConfig {
    pub epochs: u64,
    pub batch_size: usize,
    pub sgd: SgdConfig,
    /// Learning rate by epoch.
    pub lr_schedule: LrSchedule,
    /// The weights that teachers keep. Students keep those of their best epoch.
    pub teacher_weights: KeepWeights,
    pub methods: MethodConfig,
    /// The weights of the distillation terms, for methods that have these terms.
    pub distillation: Distillation,
    pub compute: ComputeConfig,
}

/// The least number of samples in a batch that is evaluated: without gradient, larger batches need
/// little memory.
const EVALUATION_BATCH: usize = 128;

/// The configuration of a comparison.
#[derive(Debug, Clone)]
pub struct ComparisonConfig {
    /// The first seed.
    pub seed: u64,
    /// Threads per training, unless the user gives their number: more than one only for large networks.
    pub threads: usize,
    pub training: TrainingConfig,
    /// The configuration in files, an object.
    pub json: Value,
    /// The configuration in messages and tables.
    pub description: String,
}

/// The configuration of the trainings of one seed.
pub struct TrainingSetup {
    pub seed: u64,
    /// Names the seed before the name of a progress bar, if there are several.
    pub prefix: String,
    pub device: Device,
    pub config: TrainingConfig,
    /// The configuration in files, with the seed.
    pub json: Value,
}

impl TrainingSetup {
    /// All samples of a split in stored order, for evaluation.
    pub fn stored<'s>(&self, split: &'s SplitData) -> BatchIterator<'s> {
        split.stored(self.config.batch_size.max(EVALUATION_BATCH), self.device)
    }

    /// All samples of a split in the order of an epoch.
    pub fn shuffled<'s>(&self, split: &'s SplitData, epoch: u64) -> BatchIterator<'s> {
        let whole = Part::default();
        split.shuffled(self.seed, epoch, self.config.batch_size, self.device, whole)
    }

    /// As [`shuffled`](Self::shuffled), the part of each batch that this rank reads.
    pub fn shuffled_part<'s>(&self, split: &'s SplitData, epoch: u64) -> BatchIterator<'s> {
        split.shuffled(self.seed, epoch, self.config.batch_size, self.device, ranks::part())
    }
}
