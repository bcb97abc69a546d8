//! The trainer: one G²D step inside the caller's loop.
//!
//! [`G2dTrainer::step`] reads as a sequence of typed values; each part of it has an owner:
//!
//! | file | owner of |
//! |---|---|
//! | `step.rs` | `G2dTrainer`: the order of a step |
//! | `builder.rs` | [`Builder`]: the configuration, checked in `build` |
//! | `planner.rs` | `Planner`: teachers, scheduler; from teacher outputs to ρ to a plan |
//! | `forward.rs` | `ForwardPass`: the student's forward pass under a plan; `missing.rs` fills in absent features, `feature_cache.rs` keeps those of suppressed encoders |
//! | `suppression.rs` | [`Suppression`]: κ applied to features and gradients |
//! | `window.rs` | `AccumulationWindow`: micro-batches, loss scale, buffer copies; the only backward |
//! | `finite.rs` | `FiniteGuard`: the [`NonFinite`] policy, deferred checks, skipped steps; `sources.rs` names the first value that is not finite, `buffers.rs` checks the buffers |
//! | `gradients.rs` | from a loss to the gradients of a window, or to a skipped step |
//! | `updater.rs` | `Updater`: the largest norm; clips and applies complete gradients for `update.rs` |
//! | `ranked.rs` | what a group of ranks adds to trainer and builder |
//! | `replicas.rs`, `agreed.rs` | with a group of ranks: equal models, what a step agrees on |
//! | `replica_buffers.rs`, `gathered.rs` | [`ReplicaBuffers`]; predictions of all ranks |
//! | `reduction.rs` | `Reduction`: gradients averaged over the ranks |
//! | `observers.rs` | `Observers`: probes and epoch means (`totals.rs`) |
//! | `modulation.rs` | the check of a [`Modulate`](crate::modulation::Modulate) and its turn in a step |
//! | `resume.rs` | [`ResumeState`]: the state of all owners, for a checkpoint |
//! | `precision.rs`, `scaling.rs` | [`Precision`] (autocast) and [`LossScaling`]; `in_precision.rs`: [`InPrecision`], a teacher outside a trainer |
//! | `projection.rs` | [`FeatureProjection`] |
//! | `evaluate.rs` | [`evaluate`], [`predict`]; `predictions.rs`: [`Predictions`] and what is measured on them |
//! | `unimodal/` | [`UnimodalTrainer`]: training of a teacher |

mod agreed;
mod buffers;
mod builder;
mod evaluate;
mod feature_cache;
mod finite;
mod forward;
mod gathered;
mod gradients;
mod in_precision;
mod missing;
mod modulation;
mod observers;
mod planner;
mod precision;
mod predictions;
mod projection;
mod ranked;
mod reduction;
mod replica_buffers;
mod replicas;
mod resume;
mod scaling;
mod sources;
mod step;
mod suppression;
#[cfg(test)]
mod tests;
mod totals;
mod unimodal;
mod update;
mod updater;
mod window;

pub(crate) use buffers::WatchedBuffers;
pub use builder::Builder;
pub(crate) use evaluate::evaluate_in;
pub use evaluate::{evaluate, evaluate_teacher, predict};
pub use finite::NonFinite;
pub(crate) use forward::check_output;
pub use in_precision::InPrecision;
pub use precision::Precision;
pub use predictions::Predictions;
pub use projection::FeatureProjection;
pub use replica_buffers::ReplicaBuffers;
pub use resume::ResumeState;
pub use scaling::{LossScale, LossScaling};
pub use step::G2dTrainer;
pub use suppression::{GradientScope, SuppressedMode, Suppression};
pub(crate) use totals::EpochTotals;
pub use unimodal::{KeepWeights, TeacherEpoch, TrainedTeacher, UnimodalTrainer};
