//! Encoders of images.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::ModuleT, vision};

use crate::error::{self, Result};
use crate::paper::networks::Initialisation;
use crate::paper::networks::compact::CompactEncoder;
use crate::paper::networks::encoder::{EncoderParts, InputShape};

/// The network of an image encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageBackbone {
    /// [`Backbone::Compact`](crate::paper::networks::Backbone::Compact): 64 features.
    #[default]
    Compact,
    /// MobileNetV2 of `tch::vision`, with a linear layer to 128 features in place of the classifier.
    MobileNetV2,
    /// ResNet-18 of `tch::vision` up to global average pooling: 512 features.
    ResNet18,
}

impl ImageBackbone {
    /// Returns the number of features.
    pub const fn width(self) -> i64 {
        match self {
            Self::Compact => CompactEncoder::WIDTH,
            Self::MobileNetV2 => 128,
            Self::ResNet18 => 512,
        }
    }

    /// The name of torchvision's last layer, which a file of ImageNet weights has for other outputs.
    pub(super) const fn head(self) -> &'static str {
        match self {
            Self::Compact | Self::ResNet18 => "fc",
            Self::MobileNetV2 => "classifier",
        }
    }

    /// The least height and width of an input.
    const fn least_side(self) -> i64 {
        match self {
            Self::Compact => CompactEncoder::LEAST_SIDE,
            Self::MobileNetV2 | Self::ResNet18 => 32,
        }
    }

    fn build(self, path: &nn::Path<'_>) -> Box<dyn ModuleT> {
        match self {
            Self::Compact => Box::new(CompactEncoder::new(path, 3, Initialisation::Authors)),
            Self::MobileNetV2 => Box::new(vision::mobilenet::v2(path, self.width())),
            Self::ResNet18 => Box::new(vision::resnet::resnet18_no_final_layer(path)),
        }
    }
}

/// Configuration of an image encoder: an image [B, 3, H, W] of floats in [0, 1] is normalised with
/// `mean` and `std` and passed through the backbone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImageConfig {
    /// The network.
    pub backbone: ImageBackbone,
    /// Mean of red, green and blue.
    pub mean: [f64; 3],
    /// Standard deviation of red, green and blue.
    pub std: [f64; 3],
}

impl Default for ImageConfig {
    /// The compact backbone with MIS-ME's mean and standard deviation.
    fn default() -> Self {
        Self {
            backbone: ImageBackbone::Compact,
            mean: [0.507, 0.468, 0.307],
            std: [0.194, 0.201, 0.170],
        }
    }
}

impl ImageConfig {
    /// `backbone` with ImageNet's mean and standard deviation, as pretrained weights require.
    pub fn imagenet(backbone: ImageBackbone) -> Self {
        Self { backbone, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }

    pub(super) fn build(&self, path: &nn::Path<'_>) -> Result<EncoderParts> {
        let Self { backbone, mean, std } = self;
        if !mean.iter().chain(std).all(|x| x.is_finite()) || std.iter().any(|&std| std <= 0.0) {
            let what = "normalisation of an image encoder";
            let expected = "finite means and standard deviations above 0";
            return Err(error::out_of_range(what, expected, format_args!("{mean:?} and {std:?}")));
        }
        let layers = Normalised { mean: *mean, std: *std, backbone: backbone.build(path) };
        let input = InputShape::Image { side: backbone.least_side() };
        Ok(EncoderParts { input, width: backbone.width(), layers: Box::new(layers) })
    }
}

/// A backbone whose input is normalised.
#[derive(Debug)]
struct Normalised {
    mean: [f64; 3],
    std: [f64; 3],
    backbone: Box<dyn ModuleT>,
}

impl ModuleT for Normalised {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        // Filled on the device: neither a copy from the host nor a synchronisation.
        let constant = |value: f64| Tensor::full([1, 1, 1], value, (input.kind(), input.device()));
        let channels = |values: [f64; 3]| Tensor::cat(&values.map(constant), 0);
        // Batch norm in training needs at least two samples.
        let train = train && input.size()[0] > 1;
        self.backbone.forward_t(&((input - channels(self.mean)) / channels(self.std)), train)
    }
}
