//! Recorders: the metrics of a training run in files, in TensorBoard and on the terminal.
//!
//! - [`Recorder`]: the trait; [`Recorders`] combines several, and never fails a training run.
//! - [`RunFolder`]: writes a run folder, which [`Run`] reads and a report is made of.
//! - [`Csv`], [`JsonLines`]: one file with a row per epoch.
//! - `TensorBoard` (feature `tensorboard`): event files.
//! - `ConsoleProgress` (feature `progress`): a progress bar.
//!
//! The data are [`RunInfo`] at the start of a run, [`EpochRow`] per epoch and [`Outcome`] at the end.

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
mod run_folder;
#[cfg(feature = "tensorboard")]
mod tensorboard;

pub use self::csv::Csv;
#[cfg(feature = "progress")]
pub use console::ConsoleProgress;
pub use environment::Environment;
pub use info::{MetricLabel, ReferenceScores, RunInfo, TeacherScores};
pub use jsonl::{EpochRow, JsonLines};
pub use outcome::Outcome;
pub use recorder::Recorder;
pub use recorders::Recorders;
pub use run::Run;
pub use run_folder::RunFolder;
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;

/// Tests the code of docs/report.md.
#[cfg(doctest)]
#[doc = include_str!("../../docs/report.md")]
mod guide {}
