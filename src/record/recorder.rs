//! What every recorder is.

use super::{Outcome, RunInfo};
use crate::{
    error::Result,
    parameters::ModalityParams,
    step::{EpochReport, StepReport},
};

/// Takes down what a training says of itself.
///
/// # Contract
/// - Called in the order `begin`, then `step`s and at most one `encoders` before each `epoch`, then
///   `finish`; only `epoch` must be there. All but it do nothing by default.
/// - What an `epoch` was given lies in the file when it returns: a crash later loses none of it.
/// - Only `encoders` may wait for the device.
///
/// # Errors
/// All return [`Error::Io`](crate::error::Error::Io) if the disk refuses, and
/// [`Error::Config`](crate::error::Error::Config) for what the format cannot hold. [`Recorders`](super::Recorders)
/// takes such errors for the caller.
pub trait Recorder {
    /// Before the first epoch: what is trained, and where.
    fn begin(&mut self, info: &RunInfo) -> Result<()> {
        let _ = info;
        Ok(())
    }

    /// After a step.
    fn step(&mut self, report: &StepReport) -> Result<()> {
        let _ = report;
        Ok(())
    }

    /// At the end of `epoch`, while the gradients of its last step are there: what the encoders are.
    fn encoders(&mut self, epoch: u64, params: &ModalityParams) -> Result<()> {
        let _ = (epoch, params);
        Ok(())
    }

    /// After an epoch; `metrics` are the caller's own, such as a validation accuracy, the same names
    /// in every epoch. One that ends in `_{modality}` is read as that modality's.
    fn epoch(&mut self, report: &EpochReport, metrics: &[(String, f64)]) -> Result<()>;

    /// After the last epoch.
    fn finish(&mut self, outcome: &Outcome) -> Result<()> {
        let _ = outcome;
        Ok(())
    }
}

const _: Option<&dyn Recorder> = None; // stays object-safe
