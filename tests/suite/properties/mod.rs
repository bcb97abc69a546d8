//! Any trainer, any batches, anything wrong: never a panic; either an error or a skipped step that
//! names what is wrong and leaves all as it was, or a step that obeys its plan.
//!
//! - `case.rs`: what is generated; `faults.rs`: what may be wrong in a step, and in what words.
//! - `model.rs`: a student and teachers of the case's shape, wrong when told to be.
//! - `run.rs`: the case as a user's loop, errors and skipped steps; `postconditions.rs`: what a step that was
//!   made has done.
//!
//! `G2D_FUZZ_CASES=100000 cargo test --test suite properties` runs a hundred thousand cases.

mod case;
mod faults;
mod model;
mod postconditions;
mod run;

use proptest::prelude::*;

use crate::support::fuzz;

proptest! {
    #![proptest_config(fuzz(300))]

    #[test]
    fn a_step_obeys_its_plan_or_names_what_is_wrong(case in case::case()) {
        run::run(&case)?;
    }
}
