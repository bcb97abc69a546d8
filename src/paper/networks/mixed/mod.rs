//! Networks over images, tables and sequences.

mod config;
mod image;
mod mlp;
mod network;
mod pretrained;
mod sequence;

pub use config::EncoderConfig;
pub use image::{ImageBackbone, ImageConfig};
pub use mlp::{MlpConfig, MlpLayer};
pub use network::{MixedConfig, MixedNetwork, UnimodalNetwork};
pub use sequence::SequenceConfig;
