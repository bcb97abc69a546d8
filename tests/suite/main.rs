//! The tests of the crate without `paper`, in one binary so that libtorch is linked once. Each
//! module has a file or folder of the same name; besides:
//!
//! - `contracts/`: the contract of each trait, checked for every implementation.
//! - `properties/`: steps of random trainers with random batches and faults.
//! - `fuzzing/`: settings, reports, run folders and cache files with random changes.
//! - `adoption/`: models of other shapes in a loop like a user's; the length of the quickstart; a
//!   downstream crate.
//! - `distributed/`: several ranks as threads of this process.
//! - `msrv.rs`: the minimum supported Rust version.
//! - `../support/`: support that all test binaries share.

mod adoption;
mod allocator;
mod batch;
mod calibration;
#[cfg(all(feature = "paper", feature = "report"))]
mod checkpoint;
mod contracts;
mod data;
mod diagnosis;
#[cfg(feature = "distributed")]
mod distributed;
mod export;
mod fuzzing;
mod heads;
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
mod student;
#[path = "../support/mod.rs"]
mod support;
mod teacher;
mod trainer;
mod weights;
