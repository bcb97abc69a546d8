//! Pictures.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::ModuleT, vision};

use super::super::{Encoder, Initialisation};
use crate::error::{self, Result};

/// The network that looks at a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageBackbone {
    /// [`Encoder`], 64 features: small enough for two processor cores. It averages pictures down to
    /// 28×28.
    #[default]
    Compact,
    /// `tch::vision`'s MobileNetV2 with a linear layer to 128 features where torchvision's has its
    /// classes.
    MobileNetV2,
    /// `tch::vision`'s ResNet-18 up to global average pooling: 512 features.
    ResNet18,
}

impl ImageBackbone {
    const MOBILE_NET_WIDTH: i64 = 128;

    /// Its feature width.
    pub const fn width(self) -> i64 {
        match self {
            Self::Compact => Encoder::WIDTH,
            Self::MobileNetV2 => Self::MOBILE_NET_WIDTH,
            Self::ResNet18 => 512,
        }
    }

    /// The shortest side of a picture that it can take.
    pub(super) const fn least_side(self) -> i64 {
        match self {
            Self::Compact => 4, // halved twice
            Self::MobileNetV2 | Self::ResNet18 => 32,
        }
    }

    /// The layer that stands for torchvision's last one, which a file of ImageNet weights has for
    /// other outputs.
    pub(super) const fn head(self) -> &'static str {
        match self {
            Self::Compact | Self::ResNet18 => "fc",
            Self::MobileNetV2 => "classifier",
        }
    }

    /// Registers it under `path`; the tensor is one of its weights.
    fn build(self, path: &nn::Path<'_>) -> (Box<dyn ModuleT>, Option<Tensor>) {
        match self {
            Self::Compact => {
                let encoder = Encoder::new(path, 3, Initialisation::Authors);
                (Box::new(encoder), (path / "conv1").get("weight"))
            }
            Self::MobileNetV2 => {
                let encoder = vision::mobilenet::v2(path, self.width());
                (Box::new(encoder), (path / "features" / "0" / "0").get("weight"))
            }
            Self::ResNet18 => {
                let encoder = vision::resnet::resnet18_no_final_layer(path);
                (Box::new(encoder), (path / "conv1").get("weight"))
            }
        }
    }
}

/// How a picture [B, 3, H, W], floats in [0, 1], is encoded: minus `mean`, divided by `std`, through
/// the backbone.
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
    /// The compact backbone, MIS-ME's mean and standard deviation.
    fn default() -> Self {
        Self {
            backbone: ImageBackbone::Compact,
            mean: [0.507, 0.468, 0.307],
            std: [0.194, 0.201, 0.170],
        }
    }
}

impl ImageConfig {
    /// `backbone` with ImageNet's mean and standard deviation, which its published weights expect.
    pub fn imagenet(backbone: ImageBackbone) -> Self {
        Self { backbone, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
    }

    pub(super) fn check(&self) -> Result<()> {
        let finite = self.mean.iter().chain(&self.std).all(|x| x.is_finite());
        if finite && self.std.iter().all(|&std| std > 0.0) {
            return Ok(());
        }
        Err(error::config(
            "normalisation of an image encoder",
            "finite means and standard deviations above 0",
            format!("{:?} and {:?}", self.mean, self.std),
            "use the training pictures' own, or `ImageConfig::imagenet`",
        ))
    }

    pub(super) fn build(&self, path: &nn::Path<'_>) -> (Box<dyn ModuleT>, Option<Tensor>) {
        let (backbone, weight) = self.backbone.build(path);
        (Box::new(Normalised { config: self.clone(), backbone }), weight)
    }
}

/// A backbone behind its normalisation.
#[derive(Debug)]
struct Normalised {
    config: ImageConfig,
    backbone: Box<dyn ModuleT>,
}

impl ModuleT for Normalised {
    fn forward_t(&self, input: &Tensor, train: bool) -> Tensor {
        // Made where they are used: no copy, no wait.
        let constant = |value: f64| Tensor::full([1, 1, 1], value, (input.kind(), input.device()));
        let channels = |values: &[f64; 3]| Tensor::cat(&values.map(constant), 0);
        let input = (input - channels(&self.config.mean)) / channels(&self.config.std);
        self.backbone.forward_t(&input, train)
    }
}
