//! The trainer: one G²D step inside the caller's loop.
//!
//! - `builder.rs` finds every mistake of configuration.
//! - `step.rs` holds the only backward.
//! - `teach.rs` goes from teachers to ρ to a plan.
//! - `features.rs` is what the fusion sees where samples lack a modality.
//! - `check.rs` refuses answers of the wrong shape, `finite.rs` a loss that is not finite.
//! - `suppression.rs` makes a plan's κ act on encoders.
//! - `modulate.rs` gives a gradient modulation its turn.
//! - `report.rs` is what a step and an epoch say of themselves.
//! - `evaluate.rs` runs a student without training it.

mod builder;
mod check;
mod evaluate;
mod features;
mod finite;
mod modulate;
mod report;
mod step;
mod suppression;
mod teach;

pub use builder::G2dTrainerBuilder;
pub use evaluate::{Predictions, evaluate, evaluate_teacher};
pub use report::{EpochReport, StepReport, StepValues};
pub use step::G2dTrainer;
pub use suppression::{GradientScope, Suppression};
