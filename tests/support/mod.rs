//! Support that the test binaries share.
//!
//! - `tiny.rs`: small students, their teachers and batches; `closure_student.rs`: a student whose
//!   encoders are a closure; `late_fusion.rs`: a late fusion with weights. Weights and data are the same
//!   in every run.
//! - `batches.rs`: batches derived from other batches.
//! - `modified.rs`: students and teachers with changed outputs; `fixed.rs`: schedulers with given
//!   κ, teachers with a given ρ.
//! - `asserts.rs`: snapshots of variables and gradients; assertions about tensors, numbers and
//!   errors.
//! - `fuzz.rs`: the number of cases of a property test; random changes of bytes.
//! - `data_set.rs`: small data sets in temporary folders.
//! - `synchronisation.rs`: counts reads that synchronise with a device.
//! - `student.rs`: calls of a student outside a trainer.
//! - `own_process.rs`: runs a test in a process of its own.
//! - `python.rs`, `skip.rs`: tests that run only where something is installed.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

mod asserts;
mod batches;
mod closure_student;
mod data_set;
mod fixed;
mod fuzz;
mod late_fusion;
mod modified;
mod own_process;
mod python;
mod skip;
mod student;
mod synchronisation;
mod tiny;

pub use asserts::{
    Snapshot, assert_close, assert_config_error, assert_elements, assert_error, assert_mismatch,
    assert_near, assert_number, assert_same, assert_same_batch, elements, gradients, is_same,
    values, with_prefix,
};
pub use batches::{rows_having, select_rows, with_nan_input, with_targets};
pub use closure_student::ClosureStudent;
pub use data_set::{TempDataSet, shared_file};
pub use fixed::{FixedKappa, KappaPerStep, SharedConfidence};
pub use fuzz::{ByteMutation, byte_mutation, fuzz_config};
pub use late_fusion::LateFusion;
pub use modified::{ModifiedStudent, ModifiedTeacher};
pub use own_process::{in_own_process, in_own_process_with};
pub use python::{python, script, stdout};
pub use skip::skipped;
pub use student::{fuse, unimodal_logits};
pub use synchronisation::count_synchronisations;
pub use tiny::{CLASSES, INPUT, Tiny, WIDTH, all_present, fill, labels, names, wave};
