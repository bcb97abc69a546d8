//! Several recorders, isolated from the training run.

use std::fmt;

use super::{Outcome, Recorder, RunInfo};
use crate::error::{Error, Result};
use crate::parameters::ModalityParams;
use crate::step::{EpochReport, StepReport};

/// Several recorders whose failures do not stop the training run.
///
/// A recorder that fails, for example on a full disk, is removed. Its error is logged as a `tracing`
/// warning and kept in [`failures`](Self::failures); the other recorders continue.
#[derive(Default)]
pub struct Recorders {
    active: Vec<Box<dyn Recorder>>,
    failures: Vec<Error>,
}

impl Recorders {
    /// No recorders.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a recorder.
    #[must_use]
    pub fn with(mut self, recorder: impl Recorder + 'static) -> Self {
        self.active.push(Box::new(recorder));
        self
    }

    /// The errors of the removed recorders, in order.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Calls [`Recorder::begin`] of each recorder.
    pub fn begin(&mut self, info: &RunInfo) {
        self.each(|recorder| recorder.begin(info));
    }

    /// Calls [`Recorder::step`] of each recorder.
    pub fn step(&mut self, report: &StepReport) {
        self.each(|recorder| recorder.step(report));
    }

    /// Calls [`Recorder::encoders`] of each recorder.
    pub fn encoders(&mut self, epoch: u64, params: &ModalityParams) {
        self.each(|recorder| recorder.encoders(epoch, params));
    }

    /// Calls [`Recorder::epoch`] of each recorder.
    pub fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) {
        self.each(|recorder| recorder.epoch(report, metrics));
    }

    /// Calls [`Recorder::finish`] of each recorder.
    pub fn finish(&mut self, outcome: &Outcome) {
        self.each(|recorder| recorder.finish(outcome));
    }

    fn each(&mut self, mut record: impl FnMut(&mut dyn Recorder) -> Result<()>) {
        let failures = &mut self.failures;
        self.active.retain_mut(|recorder| match record(recorder.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "removed a recorder that failed");
                failures.push(error);
                false
            }
        });
    }
}

impl fmt::Debug for Recorders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorders")
            .field("active", &self.active.len())
            .field("failures", &self.failures)
            .finish()
    }
}
