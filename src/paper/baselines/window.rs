//! The epochs in which a method acts.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// The epochs in which a method acts, counted from 0, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochWindow {
    /// The first epoch.
    pub first: u64,
    /// The last epoch.
    pub last: u64,
}

impl EpochWindow {
    /// Whether the method acts in `epoch`.
    pub fn contains(&self, epoch: u64) -> bool {
        (self.first..=self.last).contains(&epoch)
    }

    /// Refuses a window without epochs, which the error calls `what`.
    pub(super) fn check(&self, what: &str) -> Result<()> {
        if self.first <= self.last {
            return Ok(());
        }
        let found = format!("{}..={}", self.first, self.last);
        Err(error::out_of_range(what, "first epoch ≤ last epoch", found))
    }
}

impl From<RangeInclusive<u64>> for EpochWindow {
    fn from(window: RangeInclusive<u64>) -> Self {
        Self { first: *window.start(), last: *window.end() }
    }
}
