//! Optimizers with a state that can be saved, and learning rate schedules.
//!
//! - [`Optimizer`]: updates the parameters of one or more `VarStore`s, in groups, with libtorch's
//!   fused kernels.
//! - [`SgdConfig`], [`AdamConfig`], [`AdamWConfig`]: the hyper-parameters, as in PyTorch.
//!   [`Algorithm`] is one of them, for configuration files.
//! - [`LrSchedule`]: step and cosine decay, with warm-up.
//!
//! tch's own optimizers work with [`G2dTrainer::step`](crate::G2dTrainer::step) as well, but do not
//! expose their momentum and moments: a run that resumes with one of them starts with new ones.

mod builder;
mod config;
mod group;
mod lr_schedule;
mod optimizer;
mod saved;

pub use builder::Builder;
pub use config::{AdamConfig, AdamWConfig, Algorithm, SgdConfig};
pub use lr_schedule::{Decay, LrSchedule};
pub use optimizer::Optimizer;
