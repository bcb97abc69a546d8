//! What one training step is: what it shows while it runs, and what it reports when it ends.
//!
//! - [`Observation`]: the view of a running step that probes, modulations and finite checks share.
//! - [`StepReport`], [`StepValues`], [`StepOutcome`]: the result of a step; [`Detail`]: a value that one
//!   algorithm adds to it.
//! - [`EpochReport`], [`Measurement`]: the result of an epoch.
//! - [`MicroBatch`]: the position in an accumulation window.

mod combined;
mod detail;
mod epoch;
mod measurement;
mod micro_batch;
mod objective;
mod observation;
mod outcome;
mod report;

pub(crate) use combined::Combined;
pub use detail::Detail;
pub use epoch::EpochReport;
pub use measurement::Measurement;
pub use micro_batch::MicroBatch;
pub(crate) use objective::Objective;
pub use observation::Observation;
pub use outcome::{NonFiniteSource, SkipCause, StepOutcome, Update};
pub use report::{StepReport, StepValues};
