//! What a modality is, and its encoder behind a check of its input.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::ModuleT};

use super::{ImageBackbone, ImageConfig, MlpConfig, SequenceConfig};
use crate::error::{self, Result};

/// The kind of a modality and how it is encoded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderConfig {
    /// Pictures [B, 3, H, W] of floats in [0, 1].
    Image(ImageConfig),
    /// Standardised columns, or any vector of features, [B, columns].
    Table(MlpConfig),
    /// Sequences packed with their mask, [B, T, d + 1].
    Sequence(SequenceConfig),
}

impl EncoderConfig {
    /// Its feature width.
    pub fn width(&self) -> i64 {
        match self {
            Self::Image(image) => image.backbone.width(),
            Self::Table(mlp) => mlp.width(),
            Self::Sequence(sequence) => sequence.hidden,
        }
    }

    /// Is the modality a picture?
    pub fn is_image(&self) -> bool {
        self.backbone().is_some()
    }

    /// The backbone, of an image.
    pub(super) fn backbone(&self) -> Option<ImageBackbone> {
        match self {
            Self::Image(image) => Some(image.backbone),
            Self::Table(_) | Self::Sequence(_) => None,
        }
    }

    fn check(&self) -> Result<()> {
        match self {
            Self::Image(image) => image.check(),
            Self::Table(mlp) => mlp.check(),
            Self::Sequence(sequence) => sequence.check(),
        }
    }

    fn build(&self, path: &nn::Path<'_>) -> (Box<dyn ModuleT>, Option<Tensor>) {
        match self {
            Self::Image(image) => image.build(path),
            Self::Table(mlp) => mlp.build(path),
            Self::Sequence(sequence) => sequence.build(path),
        }
    }

    /// The shape that it takes, in words, and whether `size` is such.
    fn fits(&self, size: &[i64]) -> (String, bool) {
        match (self, size) {
            (Self::Image(image), size) => {
                let side = image.backbone.least_side();
                let fits = matches!(size, &[b, 3, h, w] if b > 0 && h >= side && w >= side);
                (format!("[B, 3, H, W] with H and W of at least {side}"), fits)
            }
            (Self::Table(mlp), size) => {
                let fits = matches!(size, &[b, columns] if b > 0 && columns == mlp.input);
                (format!("[B, {}]", mlp.input), fits)
            }
            (Self::Sequence(sequence), size) => {
                let width = sequence.input + 1;
                let fits = matches!(size, &[b, t, d] if b > 0 && t > 0 && d == width);
                (format!("[B, T, {width}], the mask its last channel"), fits)
            }
        }
    }
}

/// An encoder at work.
#[derive(Debug)]
pub(super) struct CheckedEncoder {
    config: EncoderConfig,
    /// Whose kind and device the input must have.
    weight: Tensor,
    module: Box<dyn ModuleT>,
}

impl CheckedEncoder {
    pub(super) fn new(path: &nn::Path<'_>, config: &EncoderConfig) -> Result<Self> {
        config.check()?;
        let (module, weight) = config.build(path);
        let weight = weight.ok_or_else(|| {
            error::config("encoder", "a weight in the VarStore", "none", "report this as a bug")
        })?;
        Ok(Self { config: config.clone(), weight, module })
    }

    pub(super) fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// Features [B, width] of `input`.
    ///
    /// A batch of one sample has no variance for a batch norm: training encodes it as evaluation
    /// does.
    pub(super) fn forward(&self, what: &str, input: &Tensor, train: bool) -> Result<Tensor> {
        let (size, (expected, fits)) = (input.size(), self.config.fits(&input.size()));
        if !fits {
            return Err(error::shape(
                format!("input of {what}"),
                expected,
                format!("{size:?}"),
                "make the encoder for the data's width, or reshape the input",
            ));
        }
        if input.device() != self.weight.device() {
            return Err(error::device(
                format!("input of {what}"),
                format!("{:?}, where the network is", self.weight.device()),
                format!("{:?}", input.device()),
                "move the batch with `Batch::to_device`",
            ));
        }
        if input.kind() != self.weight.kind() {
            return Err(error::kind(
                format!("input of {what}"),
                format!("{:?}, as the network's weights", self.weight.kind()),
                format!("{:?}", input.kind()),
                "convert it with `to_kind`",
            ));
        }
        Ok(self.module.forward_t(input, train && size[0] > 1))
    }
}
