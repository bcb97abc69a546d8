//! Tests of the paper's floor in one binary, so that libtorch is linked once.
//!
//! - `networks.rs`: fusions, backbones, names and refusals.
//! - `layers.rs`: folded batch norm, channels-last weights.
//! - `modulation.rs`: the hook after backward, OGM and OGM-GE.
//! - `weights.rs`: safetensors files, and PyTorch at their other end.
#![cfg(feature = "paper")]

#[path = "../common/mod.rs"]
mod common;
mod layers;
mod modulation;
mod networks;
mod weights;
