//! The core's tests in one binary, so that libtorch is linked once; a file or folder for each module.
//!
//! - `contracts/`: what each trait promises, over every implementation.
//! - `properties/`: any trainer, any batches, any fault: an error, a skip, or the plan.
//! - `fuzzing/`: settings, reports, run folders and cache files with random changes.
//! - `adoption/`: models of other shapes in a loop like a user's; the quickstart's length; a downstream
//!   crate.
//! - `msrv.rs`: the minimum supported Rust beside the dependencies'.
//! - `../support/`: what all test binaries share.

mod adoption;
mod batch;
#[cfg(all(feature = "paper", feature = "report"))]
mod checkpoint;
mod contracts;
#[cfg(feature = "paper")]
mod data;
mod diagnosis;
mod fuzzing;
mod loss;
mod metrics;
mod modulation;
mod msrv;
mod optim;
mod parameters;
mod probe;
mod properties;
mod record;
#[cfg(feature = "report")]
mod report;
mod schedule;
mod settings;
mod step;
#[path = "../support/mod.rs"]
mod support;
mod teacher;
mod trainer;
mod weights;
