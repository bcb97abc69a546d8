//! The paper's setting: networks and data sets of its experiments (feature `paper`).
//!
//! This floor uses the library as any adopter would; nothing below it knows that audio or images
//! exist.

pub mod baselines;
pub mod data;
pub mod networks;
