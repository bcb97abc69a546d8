//! Optimizers whose state can be saved, and learning rates as functions of the step.
//!
//! - [`Optimizer`]: steps the parameters of one or more `VarStore`s, in groups, with libtorch's fused
//!   kernels.
//! - [`SgdConfig`], [`AdamConfig`], [`AdamWConfig`]: the rules, as in PyTorch; [`Algorithm`] is one of them, as a settings
//!   file names it.
//! - [`LrSchedule`]: step, cosine, warm-up.
//!
//! tch's own optimizers work with [`G2dTrainer::step`](crate::trainer::G2dTrainer::step) as well, but keep
//! momentum and moments to themselves: a run that is resumed with one starts them anew.

mod moments;
mod optimizer;
mod rule;
mod saved;
mod schedule;

pub use optimizer::{Builder, Optimizer};
pub use rule::{AdamConfig, AdamWConfig, Algorithm, SgdConfig};
pub use schedule::{Decay, LrSchedule};
