//! The encoder of a modality.

use serde::{Deserialize, Serialize};
use tch::nn;

use super::{ImageBackbone, ImageConfig, MlpConfig, SequenceConfig};
use crate::{error::Result, paper::networks::encoder::EncoderParts};

/// The kind of a modality and the configuration of its encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderConfig {
    /// Images [B, 3, H, W] of floats in [0, 1].
    Image(ImageConfig),
    /// The standardised columns of a table, or other vectors, [B, columns].
    Table(MlpConfig),
    /// Packed sequences [B, T, d + 1] ([`Sequences`](crate::paper::data::Sequences)).
    Sequence(SequenceConfig),
}

impl EncoderConfig {
    /// Returns whether the modality is an image.
    pub fn is_image(&self) -> bool {
        self.backbone().is_some()
    }

    /// The backbone of an image encoder.
    pub(super) fn backbone(&self) -> Option<ImageBackbone> {
        match self {
            Self::Image(image) => Some(image.backbone),
            Self::Table(_) | Self::Sequence(_) => None,
        }
    }

    /// Registers the encoder under `path`.
    pub(super) fn build(&self, path: &nn::Path<'_>) -> Result<EncoderParts> {
        match self {
            Self::Image(image) => image.build(path),
            Self::Table(mlp) => mlp.build(path),
            Self::Sequence(sequence) => sequence.build(path),
        }
    }
}
