//! Teachers: from TorchScript, and recorded in memory or in a file.

pub mod cache;
pub mod torchscript;
