//! The position of a step in its accumulation window.

use serde::{Deserialize, Serialize};

/// The position of a micro-batch among those whose gradients make one optimizer step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicroBatch {
    /// Number of micro-batches of the window before this one.
    pub index: u64,
    /// Number of micro-batches in a full window: the argument of
    /// [`Builder::accumulate`](crate::trainer::Builder::accumulate), else 1.
    pub count: u64,
}

impl MicroBatch {
    /// Returns whether this micro-batch opens the window.
    pub fn is_first(&self) -> bool {
        self.index == 0
    }

    /// Returns whether this micro-batch completes the window.
    pub fn is_last(&self) -> bool {
        self.index + 1 == self.count
    }
}
