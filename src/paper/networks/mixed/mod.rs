//! Networks over modalities of different kinds, for regression or classification.
//!
//! - [`EncoderConfig`]: what a modality is and how it is encoded: an image ([`ImageConfig`]), the
//!   columns of a table ([`MlpConfig`]), a sequence ([`SequenceConfig`]).
//! - [`MixedNetwork`]: encoders whose features differ in width, and a fusion ([`MixedFusion`]): the
//!   student; [`MixedConfig`] chooses.
//! - [`UnimodalNetwork`]: one encoder and a head, the teacher before it is frozen ([`FrozenNetwork`]).

mod encoder;
mod fusion;
mod image;
mod mlp;
mod pretrained;
mod sequence;
mod student;
mod teacher;

pub use encoder::EncoderConfig;
pub use fusion::MixedFusion;
pub use image::{ImageBackbone, ImageConfig};
pub use mlp::{MlpConfig, MlpLayer};
pub use sequence::SequenceConfig;
pub use student::{MixedConfig, MixedNetwork};
pub use teacher::{FrozenNetwork, UnimodalNetwork};
