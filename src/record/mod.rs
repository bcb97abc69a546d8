//! Recorders: the metrics of a training run in files, in TensorBoard and on the terminal.
//!
//! - [`Recorder`]: the trait; [`Recorders`] combines several, and never fails a training run.
//! - [`RunFolder`]: writes a run folder, which [`Run`] reads and a report is made of.
//! - [`Csv`], [`JsonLines`]: a file with a row per epoch, and one with a row per recorded step.
//! - `TensorBoard` (feature `tensorboard`): event files.
//! - `ConsoleProgress` (feature `progress`): a progress bar.
//!
//! The data are [`RunInfo`] at the start of a run, [`StepRow`] at an interval of steps, [`EpochRow`] per epoch
//! and [`Outcome`] at the end. [`RunMetric`] computes and names the metric by which a run is judged;
//! [`Run::diagnose`] makes the diagnosis of what was recorded.

#[cfg(feature = "progress")]
mod console;
mod csv;
mod environment;
mod evidence;
mod files;
mod info;
mod jsonl;
mod metric;
mod outcome;
mod recorder;
mod recorders;
mod row;
mod run;
mod run_folder;
mod step_record;
mod table;
#[cfg(feature = "tensorboard")]
mod tensorboard;

pub use self::csv::Csv;
#[cfg(feature = "progress")]
pub use console::ConsoleProgress;
pub use environment::Environment;
pub use info::{MetricLabel, ReferenceScores, RunInfo, TeacherScores};
pub use jsonl::JsonLines;
pub use metric::{JudgedBy, RunMetric};
pub use outcome::Outcome;
pub use recorder::Recorder;
pub use recorders::Recorders;
pub use row::{EpochRow, StepRow};
pub use run::Run;
pub use run_folder::RunFolder;
pub use step_record::StepRecord;
#[cfg(feature = "tensorboard")]
pub use tensorboard::TensorBoard;

/// Tests the code of docs/report.md.
#[cfg(doctest)]
#[doc = include_str!("../../docs/report.md")]
mod guide {}

/// Tests the code of docs/logging.md.
#[cfg(doctest)]
#[doc = include_str!("../../docs/logging.md")]
mod logging {}
