//! Teachers: tch modules, TorchScript, and outputs recorded in memory or in a file.

pub mod cache;
mod frozen_model;
mod probabilities;
pub mod torchscript;
