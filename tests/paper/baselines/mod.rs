//! Methods of other papers.
//!
//! - `ogm.rs`: OGM and OGM-GE.
//! - `derivations/`: the gradients of one step of every other method against a derivation in plain tch.
//! - `course.rs`: turns, stages, epochs and prediction rules.
//! - `resume.rs`: a run that resumes has the same bits.
//! - `errors.rs`: what is refused, and that it changes nothing.
//! - `recorder.rs`: an optimizer that records gradients.

mod course;
mod derivations;
mod errors;
mod ogm;
mod recorder;
mod resume;
