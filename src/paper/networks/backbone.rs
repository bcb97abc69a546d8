//! Encoders of images and videos.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::ModuleT};

use super::{
    Initialisation,
    compact::CompactEncoder,
    encoder::{EncoderParts, InputShape},
    resnet18::ResNet18,
};
use crate::error::{self, Result};

/// The encoder of a [`FusionClassifier`](super::FusionClassifier) or
/// [`UnimodalClassifier`](super::UnimodalClassifier).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backbone {
    /// Three blocks of 3×3 convolution, batch norm and ReLU with 16, 32 and 64 channels, 2×2
    /// max-pooling after the first two, and global average pooling: 64 features. Inputs larger than
    /// 28×28 are first average-pooled to 28×28, so that training on a CPU is possible.
    #[default]
    Compact,
    /// ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) up to global
    /// average pooling, as in the paper: 512 features.
    ResNet18,
}

impl Backbone {
    /// Returns the number of features.
    pub const fn width(self) -> i64 {
        match self {
            Self::Compact => CompactEncoder::WIDTH,
            Self::ResNet18 => ResNet18::WIDTH,
        }
    }

    /// Registers the encoder under `path`.
    pub(super) fn build(
        self,
        path: &nn::Path<'_>,
        channels: i64,
        init: Initialisation,
    ) -> Result<EncoderParts> {
        if channels < 1 {
            let hint = "pass 1 for spectrograms and grey images, 3 for RGB images";
            return Err(error::config("input channels", "at least 1", channels, hint));
        }
        let (side, layers): (_, Box<dyn ModuleT>) = match self {
            Self::Compact => {
                (CompactEncoder::LEAST_SIDE, Box::new(CompactEncoder::new(path, channels, init)))
            }
            Self::ResNet18 => (1, Box::new(ResNet18::new(path, channels, init))),
        };
        let input = InputShape::Frames { channels, side };
        Ok(EncoderParts { input, width: self.width(), layers: Box::new(FrameAverage(layers)) })
    }
}

/// Encodes every frame of a video [B, C, T, H, W] as an image and averages the features over time;
/// an image [B, C, H, W] is encoded directly.
#[derive(Debug)]
struct FrameAverage(Box<dyn ModuleT>);

impl ModuleT for FrameAverage {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        let [batch, channels, frames, height, width] = input.size()[..] else {
            return self.0.forward_t(input, train);
        };
        let images = input.transpose(1, 2).reshape([batch * frames, channels, height, width]);
        let features = self.0.forward_t(&images, train);
        features.view([batch, frames, -1]).mean_dim(1, false, None)
    }
}
