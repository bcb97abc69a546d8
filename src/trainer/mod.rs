//! The trainer: one G²D step inside the caller's loop.
//!
//! - `builder.rs` finds every mistake of configuration.
//! - `step.rs` is one step, from batch to report; `backward.rs` holds the only backward.
//! - `answer.rs` is what the student makes of a batch.
//! - `accumulation.rs` makes one step of the optimizer of several.
//! - `precision.rs` is the kind that layers compute in, `scaling.rs` fp16's loss scale.
//! - `teach.rs` goes from teachers to ρ to a plan.
//! - `features.rs` is what the fusion sees where samples lack a modality.
//! - `check.rs` refuses answers of the wrong shape, `finite.rs` what is not finite.
//! - `outcome.rs` is what became of a step: ready, accumulating, skipped and why.
//! - `suppression.rs` makes a plan's κ act on encoders.
//! - `modulate.rs` gives a gradient modulation its turn.
//! - `report.rs` is what a step and an epoch say of themselves.
//! - `state.rs` is what it remembers between steps, for a checkpoint.
//! - `evaluate.rs` runs a student without training it.

mod accumulation;
mod answer;
mod backward;
mod builder;
mod check;
mod evaluate;
mod features;
mod finite;
mod modulate;
mod outcome;
mod precision;
mod report;
mod scaling;
mod state;
mod step;
mod suppression;
mod teach;

pub use accumulation::Window;
pub use builder::G2dTrainerBuilder;
pub use evaluate::{Predictions, evaluate, evaluate_teacher};
pub use outcome::{NonFinite, NonFiniteSource, Skipped, StepOutcome};
pub use precision::Precision;
pub use report::{EpochReport, StepReport, StepValues};
pub use scaling::{LossScale, LossScaling};
pub use state::TrainerState;
pub use step::G2dTrainer;
pub use suppression::{GradientScope, SuppressedMode, Suppression};
