//! Several recorders, isolated from the training run.

use std::fmt;

use super::{Outcome, Recorder, RunInfo, StepRecord};
use crate::diagnosis::Thresholds;
use crate::error::{Error, Result};
use crate::modality::Modality;
use crate::parameters::ModalityParams;
use crate::step::EpochReport;

/// Several recorders whose failures do not stop the training run.
///
/// A recorder that fails, for example on a full disk, is removed. Its error is logged as a `tracing`
/// warning and kept in [`failures`](Self::failures); the other recorders continue.
#[derive(Default)]
pub struct Recorders {
    active: Vec<Box<dyn Recorder>>,
    failures: Vec<Error>,
    /// The interval of rows of steps; 0 for none.
    interval: u64,
    modalities: Vec<Modality>,
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

    /// Records the numbers of a step every so many steps: loss, ρ, κ, and what
    /// [`StepRecord`] adds. Each of these steps synchronises with the device, the others do not. With
    /// accumulation they are the last steps of windows. 0, the default, records none.
    #[must_use]
    pub fn step_interval(mut self, steps: u64) -> Self {
        self.interval = steps;
        self
    }

    /// The errors of the removed recorders, and those of rows and diagnoses that could not be made, in order.
    pub fn failures(&self) -> &[Error] {
        &self.failures
    }

    /// Calls [`Recorder::begin`] of each recorder.
    pub fn begin(&mut self, info: &RunInfo) {
        self.modalities.clone_from(&info.modalities);
        self.each(|recorder| recorder.begin(info));
    }

    /// Calls [`Recorder::step`] of each recorder with the report of the step, and
    /// [`Recorder::step_row`] at the interval of [`step_interval`](Self::step_interval). Takes a
    /// [`StepReport`](crate::StepReport), or a [`StepRecord`] with learning rates and gradient norm.
    pub fn step<'a>(&mut self, step: impl Into<StepRecord<'a>>) {
        let step = step.into();
        self.each(|recorder| recorder.step(step.report()));
        if self.active.is_empty() || !step.report().is_due(self.interval) {
            return;
        }
        match step.read(&self.modalities) {
            Ok(row) => self.each(|recorder| recorder.step_row(&row)),
            Err(error) => self.failed("a step was not recorded", error),
        }
    }

    /// Calls [`Recorder::encoders`] of each recorder.
    pub fn encoders(&mut self, epoch: u64, params: &ModalityParams) {
        self.each(|recorder| recorder.encoders(epoch, params));
    }

    /// Calls [`Recorder::epoch`] of each recorder.
    pub fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) {
        self.each(|recorder| recorder.epoch(report, metrics));
    }

    /// Calls [`Recorder::finish`] of each recorder. An outcome without a diagnosis gets that of the recorded
    /// run, if [`RunInfo::judged_by`] names the metric and a recorder such as
    /// [`RunFolder`](super::RunFolder) can read the run.
    pub fn finish(&mut self, outcome: &Outcome) {
        let diagnosed = self.diagnosed(outcome).unwrap_or_else(|error| {
            self.failed("the run was not diagnosed", error);
            None
        });
        let outcome = diagnosed.as_ref().unwrap_or(outcome);
        self.each(|recorder| recorder.finish(outcome));
    }

    /// The outcome with a diagnosis of the recorded run; `None` if it has one, or none can be made.
    fn diagnosed(&self, outcome: &Outcome) -> Result<Option<Outcome>> {
        if outcome.diagnosis.is_some() {
            return Ok(None);
        }
        let mut runs = self.active.iter().map(|recorder| recorder.recorded());
        let Some(mut run) = runs.find_map(Result::transpose).transpose()? else { return Ok(None) };
        if run.info.judged_by.is_none() {
            return Ok(None);
        }
        run.outcome = Some(outcome.clone());
        let diagnosis = Some(run.diagnose(&Thresholds::default())?);
        Ok(Some(Outcome { diagnosis, ..outcome.clone() }))
    }

    fn failed(&mut self, what: &str, error: Error) {
        tracing::warn!(%error, "{what}");
        self.failures.push(error);
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
