//! The networks of the paper.
//!
//! - `classifiers.rs`: the audio-visual classifiers: fusions, backbones, names, invalid
//!   configurations.
//! - `mixed.rs`: networks over images, tables and sequences.
//! - `layers.rs`: folded batch norm, channels-last weights.
//! - `pytorch_weights.rs`: weights in files from and for PyTorch.

mod classifiers;
mod layers;
mod mixed;
mod pytorch_weights;
