//! Code that several examples share: `#[path = "../support/mod.rs"] mod support;`.
//!
//! Modules, low to high; each imports only from those above it:
//!
//! - `command_line`: parsing of flags; `random`: normal values; `parallel`: several trainings at a
//!   time; `progress`: progress bars; `ranks`: the ranks of a distributed run.
//! - `metric`: metrics of results; `statistics`: means over seeds and their intervals.
//! - `rivals`: the methods of other papers; `methods`: the names and parts of the
//!   methods that are compared; `composition`: from these parts to those of the library; `baselines`: what
//!   needs no student.
//! - `summary`: the results of one seed; `aggregate`: those of several seeds.
//! - `explanation`: two sentences about the results of one seed; `claims`, `table`, `figure`: what is
//!   made of aggregated results; `output`: their files.
//! - `comparison/`: the comparison of all methods on one data set.
#![allow(dead_code, unused_imports, reason = "each example uses a part")]

pub mod aggregate;
pub mod baselines;
pub mod claims;
pub mod command_line;
pub mod comparison;
pub mod composition;
pub mod explanation;
pub mod figure;
pub mod methods;
pub mod metric;
pub mod output;
pub mod parallel;
pub mod progress;
pub mod random;
pub mod ranks;
pub mod rivals;
pub mod statistics;
pub mod summary;
pub mod table;
