//! Property tests of the trainer. A step of any trainer with any batch and any fault obeys its
//! plan, or is an error or a skipped step that names the fault and changes nothing; it never
//! panics.
//!
//! - `case.rs`: the random configurations and steps; `faults.rs`: the faults, and the error of
//!   each.
//! - `model.rs`: a student and teachers of a case, with the fault of the current step.
//! - `run.rs`: a case as a user's loop, with the checks of errors and skipped steps;
//!   `postconditions.rs`: the checks of other steps.
//!
//! `G2D_FUZZ_CASES=100000 cargo test --test suite properties` runs a hundred thousand cases.

mod case;
mod faults;
mod model;
mod postconditions;
mod run;

use proptest::prelude::*;

use crate::support::fuzz_config;

proptest! {
    #![proptest_config(fuzz_config(300))]

    #[test]
    fn a_step_obeys_its_plan_or_names_its_fault_and_changes_nothing(case in case::case()) {
        run::run(&case)?;
    }
}
