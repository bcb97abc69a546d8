//! Networks over images, tables and sequences.

mod image;
mod mlp;
mod network;
mod pretrained;
mod sequence;

pub use image::{ImageBackbone, ImageConfig};
pub use mlp::{MlpConfig, MlpLayer};
pub use network::{EncoderConfig, MixedConfig, MixedNetwork, UnimodalNetwork};
pub use sequence::SequenceConfig;
