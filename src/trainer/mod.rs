//! The trainer: one G²D step inside the caller's loop.
//!
//! - `builder.rs` finds every mistake of configuration.
//! - `step.rs` holds the only backward.
//! - `suppression.rs` makes a plan's κ act on encoders.
//! - `modulate.rs` gives a gradient modulation its turn.
//! - `report.rs` is what a step and an epoch say of themselves.
//! - `evaluate.rs` runs a student without training it.

mod builder;
mod evaluate;
mod modulate;
mod report;
mod step;
mod suppression;

pub use builder::G2dTrainerBuilder;
pub use evaluate::{Predictions, evaluate, evaluate_teacher};
pub use report::{EpochReport, StepReport, StepValues};
pub use step::G2dTrainer;
pub use suppression::{GradientScope, Suppression};
