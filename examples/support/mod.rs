//! What the examples share: methods, selection, several trainings at a time, statistics, output.
//!
//! An example takes it in with `#[path = "../support/mod.rs"] mod support;`.

pub mod best;
pub mod claims;
pub mod figure;
pub mod methods;
pub mod metric;
pub mod parallel;
pub mod progress;
pub mod results;
pub mod statistics;
pub mod summary;
