//! A schedule by name, as a settings file gives it.

use serde::{Deserialize, Serialize};

use super::{Joint, Partial, PerBatch, Sequential, SmpScheduler};

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
pub enum Schedule {
    /// All learn, always.
    Joint(Joint),
    /// One after the other, in stages.
    Sequential(Sequential),
    /// The weakest of each batch, within a window.
    PerBatch(PerBatch),
    /// Stronger ones slowed, not stopped.
    Partial(Partial),
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Joint(Joint::default())
    }
}

impl Schedule {
    /// For [`G2dTrainerBuilder::boxed_scheduler`](crate::G2dTrainerBuilder::boxed_scheduler), which
    /// checks its numbers at build.
    pub fn boxed(self) -> Box<dyn SmpScheduler> {
        match self {
            Self::Joint(scheduler) => Box::new(scheduler),
            Self::Sequential(scheduler) => Box::new(scheduler),
            Self::PerBatch(scheduler) => Box::new(scheduler),
            Self::Partial(scheduler) => Box::new(scheduler),
        }
    }
}
