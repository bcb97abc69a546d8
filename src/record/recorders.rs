//! Several recorders, none of which stops a training.

use std::fmt;

use super::{Outcome, Recorder, RunInfo};
use crate::{
    error::{Error, Result},
    parameters::ModalityParams,
    step::{EpochReport, StepReport},
};

/// Several recorders at once.
///
/// One that fails (a full disk, say) is switched off: the error is logged as a `tracing` warning and
/// kept in [`failures`](Self::failures), the other recorders and the training go on.
#[derive(Default)]
pub struct Recorders {
    active: Vec<Box<dyn Recorder>>,
    failures: Vec<Error>,
}

impl Recorders {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one.
    #[must_use]
    pub fn with(mut self, recorder: impl Recorder + 'static) -> Self {
        self.active.push(Box::new(recorder));
        self
    }

    /// Why recorders were switched off, in the order in which it happened.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// [`Recorder::begin`] of each.
    pub fn begin(&mut self, info: &RunInfo) {
        self.each(|recorder| recorder.begin(info));
    }

    /// [`Recorder::step`] of each.
    pub fn step(&mut self, report: &StepReport) {
        self.each(|recorder| recorder.step(report));
    }

    /// [`Recorder::encoders`] of each.
    pub fn encoders(&mut self, epoch: u64, params: &ModalityParams) {
        self.each(|recorder| recorder.encoders(epoch, params));
    }

    /// [`Recorder::epoch`] of each.
    pub fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) {
        self.each(|recorder| recorder.epoch(report, metrics));
    }

    /// [`Recorder::finish`] of each.
    pub fn finish(&mut self, outcome: &Outcome) {
        self.each(|recorder| recorder.finish(outcome));
    }

    fn each(&mut self, mut tell: impl FnMut(&mut dyn Recorder) -> Result<()>) {
        let failures = &mut self.failures;
        self.active.retain_mut(|recorder| match tell(recorder.as_mut()) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "a recorder failed and is switched off");
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
