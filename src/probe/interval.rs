//! The interval of a probe.

use crate::step::Observation;

/// Number of optimizer steps of which a probe observes the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Interval(u64);

impl Interval {
    pub(super) fn new(steps: u64) -> Self {
        Self(steps.max(1))
    }

    /// Returns whether the probe observes this step. Probes observe only the last micro-batch of an
    /// accumulation window, so windows are counted.
    pub(super) fn includes(self, step: &Observation<'_>) -> bool {
        (step.at.step / step.micro_batch.count).is_multiple_of(self.0)
    }
}
