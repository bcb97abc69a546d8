//! Networks: encoders, fusions, and the classifiers made of them.
//!
//! - [`Encoder`]: a compact convolutional backbone.
//! - [`LateFusion`]: unimodal heads, averaged.
//! - [`FusionClassifier`]: encoders and a fusion, the student.
//! - [`UnimodalClassifier`]: an encoder and a head, the teacher.

mod classifier;
mod encoder;
mod fusion;

pub use classifier::{FusionClassifier, UnimodalClassifier};
pub use encoder::Encoder;
pub use fusion::LateFusion;
