//! Optimizers with a state that can be saved, and learning rate schedules.
//!
//! - [`Optimizer`]: updates the parameters of one or more `VarStore`s, in groups, with libtorch's
//!   fused kernels.
//! - [`SgdConfig`], [`AdamConfig`], [`AdamWConfig`]: the hyper-parameters, as in PyTorch.
//!   [`Algorithm`] is one of them, for configuration files.
//! - [`Builder::group`], [`Builder::group_where`], [`Builder::no_decay`]: groups by path or by a
//!   predicate on a [`ParameterInfo`].
//! - [`LrSchedule`]: step, cosine and polynomial decay and one cycle, with warm-up. [`Plateau`]: a
//!   factor that falls when a score no longer improves.
//! - [`ApplyGradients`]: what [`G2dTrainer::update`](crate::G2dTrainer::update) needs of an
//!   optimizer.
//!
//! tch's own optimizers work with [`G2dTrainer::step`](crate::G2dTrainer::step) as well, but do not
//! expose their momentum and moments: a run that resumes with one of them starts with new ones.

mod apply;
mod builder;
mod config;
mod group;
mod lr_schedule;
mod optimizer;
mod parameter_info;
mod plateau;
mod saved;

pub use apply::ApplyGradients;
pub use builder::Builder;
pub use config::{AdamConfig, AdamWConfig, Algorithm, SgdConfig};
pub use lr_schedule::{Anneal, Decay, LrSchedule};
pub use optimizer::Optimizer;
pub use parameter_info::ParameterInfo;
pub use plateau::{Plateau, PlateauConfig};
