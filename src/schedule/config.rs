//! A schedule by name, as a settings file gives it.

use serde::{Deserialize, Serialize};

use super::{Candidates, Joint, Partial, PerBatch, Plan, Progress, Sequential, SmpScheduler};
use crate::{error::Result, modality::Modality, state::State};

/// One of the crate's schedulers, chosen by its `type`:
///
/// ```toml
/// type = "sequential"            # or "joint"
/// stages = [150]
/// ranking = "previous_epoch"     # or "batch", or { fixed = ["visual", "audio"] }
/// ```
/// ```toml
/// type = "per_batch"
/// window = { first = 0, last = 150 }  # both included
/// ```
/// ```toml
/// type = "partial"
/// alpha = 0.5
/// epochs = { start = 0, end = 150 }   # without the end
/// ```
///
/// A name that it does not know is an error that says which. What a scheduler has learnt while it
/// worked is not part of it: that is [`SmpScheduler::state`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SchedulerConfig {
    /// All learn, always.
    Joint(Joint),
    /// One after the other, in stages.
    Sequential(Sequential),
    /// The weakest of each batch, within a window.
    PerBatch(PerBatch),
    /// Stronger ones slowed, not stopped.
    Partial(Partial),
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        Self::Joint(Joint::default())
    }
}

impl SchedulerConfig {
    fn scheduler(&self) -> &dyn SmpScheduler {
        match self {
            Self::Joint(scheduler) => scheduler,
            Self::Sequential(scheduler) => scheduler,
            Self::PerBatch(scheduler) => scheduler,
            Self::Partial(scheduler) => scheduler,
        }
    }

    fn scheduler_mut(&mut self) -> &mut dyn SmpScheduler {
        match self {
            Self::Joint(scheduler) => scheduler,
            Self::Sequential(scheduler) => scheduler,
            Self::PerBatch(scheduler) => scheduler,
            Self::Partial(scheduler) => scheduler,
        }
    }
}

impl SmpScheduler for SchedulerConfig {
    fn bind(&mut self, modalities: &[Modality]) -> Result<()> {
        self.scheduler_mut().bind(modalities)
    }

    fn needs_confidence(&self) -> bool {
        self.scheduler().needs_confidence()
    }

    fn reads_confidence(&self, at: Progress) -> bool {
        self.scheduler().reads_confidence(at)
    }

    fn plan(&mut self, at: Progress, candidates: &Candidates) -> Result<Plan> {
        self.scheduler_mut().plan(at, candidates)
    }

    fn end_epoch(&mut self, epoch: u64, confidence: &[Option<f64>]) -> Result<()> {
        self.scheduler_mut().end_epoch(epoch, confidence)
    }

    fn state(&self) -> Result<State> {
        self.scheduler().state()
    }

    fn restore(&mut self, state: &State) -> Result<()> {
        self.scheduler_mut().restore(state)
    }
}
