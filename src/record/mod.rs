//! Where reports go: files, TensorBoard and the terminal.
//!
//! - [`Recorder`]: what all of these are; [`Recorders`]: several at once, none of which stops a training.
//! - [`RunFolder`]: a run folder, from which a report can be made later; [`Run`] reads it.
//! - [`Csv`], [`JsonLines`]: one file a run, a row an epoch.
//! - [`TensorBoard`]: event files.
//! - [`ConsoleProgress`]: a progress bar with loss, accuracy and κ.
//!
//! What is recorded: [`RunInfo`] at the start, [`EpochRow`] an epoch, [`Outcome`] at the end.

#[cfg(feature = "progress")]
mod console;
mod csv;
mod environment;
mod files;
mod info;
mod jsonl;
mod outcome;
mod recorder;
mod recorders;
mod run;
mod run_recorder;
#[cfg(feature = "tensorboard")]
mod tensorboard;

pub use self::csv::Csv;
#[cfg(feature = "progress")]
pub use console::ConsoleProgress;
pub use environment::Environment;
pub use info::{MetricLabel, RunInfo, TeacherScores};
pub use jsonl::{EpochRow, JsonLines};
pub use outcome::Outcome;
pub use recorder::Recorder;
pub use recorders::Recorders;
pub use run::Run;
pub use run_recorder::RunFolder;
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;

/// So that the guide's code compiles.
#[cfg(doctest)]
#[doc = include_str!("../../docs/report.md")]
struct Guide;
