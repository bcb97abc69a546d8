//! The comparison of training methods on one data set: classification or regression, two or more
//! modalities, samples in memory or on disk.
//!
//! Modules, low to high; each imports only from those above it:
//!
//! - `split.rs`: the samples of a split; `task.rs`: the loss and the metrics; `problem.rs`: data,
//!   networks and task.
//! - `compute.rs`: precision and mode of forward passes; `setup.rs`: what all trainings share;
//!   `arguments.rs`: the flags that configure it.
//! - `run_files.rs`: the files of a comparison, for resuming.
//! - `teacher.rs`: training of teachers; `knowledge.rs`: their calibration and ensembles;
//!   `evaluation.rs`: evaluation of students.
//! - `record.rs`: the recorders of a student; `measured.rs`: the gradient norms that they record; `history.rs`: its epochs and seconds; `outcome.rs`: its final results; `student.rs`: training
//!   of students.
//! - `reports.rs`: HTML reports; `run.rs`: the whole comparison.

mod arguments;
mod compute;
mod evaluation;
mod history;
mod knowledge;
mod measured;
mod outcome;
mod problem;
mod record;
mod reports;
mod run;
mod run_files;
mod setup;
mod split;
mod student;
mod task;
mod teacher;

pub use arguments::{RunArguments, TrainingArguments};
pub use compute::ComputeConfig;
pub use problem::{HELD_OUT, MixedNetworks, Networks, Problem, Splits, data_name, with_validation};
pub use run::compare;
pub use setup::{ComparisonConfig, TrainingConfig};
pub use split::SplitData;
pub use task::PredictionTask;
