//! The trait of all recorders.

use super::{Outcome, Run, RunInfo, StepRow};
use crate::error::Result;
use crate::parameters::ModalityParams;
use crate::step::{EpochReport, StepReport};

/// Records the metrics of a training run.
///
/// # Contract
/// - The order of calls is `begin`, then for each epoch any number of `step`s, each followed by a `step_row`
///   where one is due, at most one `encoders` and one `epoch`, then `finish`. All but `epoch` are optional,
///   and do nothing by default.
/// - The data of an epoch are in the file when `epoch` returns, so that a later crash loses nothing.
/// - Only `encoders` may synchronise with the device: the numbers of a `step_row` have been read.
///
/// # Errors
/// All methods return [`Error::Io`](crate::Error::Io) for a failed write and
/// [`Error::Config`](crate::Error::Config) for what the format cannot represent.
/// [`Recorders`](super::Recorders) handles them for the caller.
pub trait Recorder {
    /// Records the description of the run, before the first epoch.
    fn begin(&mut self, info: &RunInfo) -> Result<()> {
        let _ = info;
        Ok(())
    }

    /// Records a step without reading its tensors. Called for every step.
    fn step(&mut self, report: &StepReport) -> Result<()> {
        let _ = report;
        Ok(())
    }

    /// Records the numbers of a step, at the interval of
    /// [`Recorders::step_interval`](super::Recorders::step_interval).
    fn step_row(&mut self, row: &StepRow) -> Result<()> {
        let _ = row;
        Ok(())
    }

    /// Records the encoders at the end of `epoch`, before the gradients of its last step are zeroed.
    fn encoders(&mut self, epoch: u64, params: &ModalityParams) -> Result<()> {
        let _ = (epoch, params);
        Ok(())
    }

    /// Records an epoch. `metrics` are the caller's own, such as a validation accuracy, with the same
    /// names in every epoch; a name that ends in `_{modality}` is a metric of that modality.
    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()>;

    /// Records the outcome of the run, after the last epoch.
    fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        let _ = outcome;
        Ok(())
    }

    /// Returns the run as recorded so far, if this recorder can read it back. A diagnosis is made from it.
    fn recorded(&self) -> Result<Option<Run>> {
        Ok(None)
    }
}

const _: Option<&dyn Recorder> = None; // object-safe
