//! The networks, data sets and baselines of the paper's experiments (feature `paper`).
//!
//! This module uses only the public API of the crate, as an application would.

pub mod baselines;
pub mod data;
pub mod networks;
mod random;
