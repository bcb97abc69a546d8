//! The student over modalities of different kinds, and the teacher of one of them.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::Module, nn::VarStore};

use super::{ImageBackbone, ImageConfig, MlpConfig, SequenceConfig, pretrained};
use crate::batch::{Batch, Input};
use crate::calibration::FusionWeights;
use crate::error::Result;
use crate::heads::WithHeads;
use crate::modality::Modality;
use crate::paper::networks::Initialisation;
use crate::paper::networks::encoder::{CheckedEncoder, EncoderParts, Encoders, path};
use crate::paper::networks::fusion::{Fusion, MixedFusion, check_outputs};
use crate::parameters::ModalityParams;
use crate::student::{Features, Student};
use crate::teacher::{FrozenModel, UnimodalModel};

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
    fn backbone(&self) -> Option<ImageBackbone> {
        match self {
            Self::Image(image) => Some(image.backbone),
            Self::Table(_) | Self::Sequence(_) => None,
        }
    }

    /// Registers the encoder under `path`.
    fn build(&self, path: &nn::Path<'_>) -> Result<EncoderParts> {
        match self {
            Self::Image(image) => image.build(path),
            Self::Table(mlp) => mlp.build(path),
            Self::Sequence(sequence) => sequence.build(path),
        }
    }
}

/// Configuration of a [`MixedNetwork`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixedConfig {
    /// The modalities and their encoders, in the order of a batch's inputs.
    pub encoders: Vec<(Modality, EncoderConfig)>,
    /// The fusion.
    pub fusion: MixedFusion,
    /// C: the number of classes, or 1 for the regression of one value.
    pub outputs: i64,
}

/// The student: one encoder per modality (`{modality}_net`), whose features may differ in width, and
/// a fusion (`fusion_module`).
///
/// # Example
/// ```
/// use g2d::paper::networks::{
///     EncoderConfig, ImageConfig, MixedConfig, MixedFusion, MixedNetwork, MlpConfig,
/// };
/// use g2d::{Batch, Features, Student};
/// use tch::{Device, Kind, Tensor, nn};
///
/// # fn main() -> g2d::Result<()> {
/// let vs = nn::VarStore::new(Device::Cpu);
/// let network = MixedNetwork::new(&vs, &MixedConfig {
///     encoders: vec![
///         ("image".into(), EncoderConfig::Image(ImageConfig::default())), // 64 features
///         ("weather".into(), EncoderConfig::Table(MlpConfig::weather(8))), // 16 features
///     ],
///     fusion: MixedFusion::Late,
///     outputs: 1,
/// })?;
/// let float = (Kind::Float, Device::Cpu);
/// let inputs = [Tensor::rand([4, 3, 32, 32], float), Tensor::randn([4, 8], float)];
/// let batch = Batch::new(inputs, Tensor::zeros([4], float));
/// let features = [network.encode(0, &batch, true)?, network.encode(1, &batch, true)?];
/// let features = Features::new(&features, &batch)?;
/// assert_eq!(network.fuse(&features, true)?.size(), [4, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MixedNetwork {
    encoders: Encoders,
    fusion: Fusion,
    config: MixedConfig,
}

impl MixedNetwork {
    /// Registers the network in `vs`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for invalid names ([`Modality::check_names`]), an
    /// invalid encoder, a fusion that does not take these modalities, or a number of outputs below 1.
    pub fn new(vs: &VarStore, config: &MixedConfig) -> Result<Self> {
        check_outputs(config.outputs)?;
        let encoders = Encoders::new(vs, &config.encoders, |path, encoder| encoder.build(path))?;
        let path = vs.root() / "fusion_module";
        let fusion = config.fusion.build(&path, encoders.widths(), config.outputs)?;
        Ok(Self { encoders, fusion, config: config.clone() })
    }

    /// Sets the weights of the late fusion, as
    /// [`FusionClassifier::with_fusion_weights`](crate::paper::networks::FusionClassifier::with_fusion_weights)
    /// does.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for another fusion or number of modalities.
    pub fn with_fusion_weights(mut self, vs: &VarStore, weights: &FusionWeights) -> Result<Self> {
        self.fusion = self.fusion.weighted(&(vs.root() / "fusion_module"), weights)?;
        Ok(self)
    }

    /// Adds a unimodal head for each modality beside the fusion, below `heads` in `vs`.
    ///
    /// # Errors
    /// As [`WithHeads::new`].
    pub fn with_heads(self, vs: &VarStore) -> Result<WithHeads<Self>> {
        let widths: Vec<i64> = self.encoders.widths().map(|(_, width)| width).collect();
        let outputs = self.config.outputs;
        WithHeads::new(self, vs.root() / "heads", &widths, outputs)
    }

    /// Returns the parameters of the encoders.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the network was not built in `vs`.
    pub fn encoder_params(&self, vs: &VarStore) -> Result<ModalityParams> {
        self.encoders.params(vs)
    }

    /// Loads ImageNet weights into the backbones of all image modalities: a safetensors file of the
    /// complete network with torchvision's names, whose last layer is omitted.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) or [`Error::Data`](crate::Error::Data) if the file cannot be
    /// read or is not of the backbone's network; [`Error::Config`](crate::Error::Config) if there is
    /// no image modality or its backbone is compact. The network is unchanged after an error.
    pub fn load_image_weights(&self, vs: &VarStore, file: impl AsRef<Path>) -> Result<()> {
        let images =
            self.config.encoders.iter().filter_map(|(m, e)| Some((path(m), e.backbone()?)));
        pretrained::load(vs, &images.collect::<Vec<_>>(), file.as_ref())
    }
}

impl Student for MixedNetwork {
    fn modalities(&self) -> &[Modality] {
        self.encoders.modalities()
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        self.encoders.encode(m, batch, train)
    }

    fn fuse(&self, features: &Features<'_>, _train: bool) -> Result<Tensor> {
        self.encoders.check_features(features)?;
        self.fusion.forward(features)
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        Some(vec![self.encoders.width(m)])
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        Ok(self.fusion.unimodal_prediction(m, features))
    }
}

/// A teacher before it is frozen: an encoder (`net`) and a linear head (`head`).
#[derive(Debug)]
pub struct UnimodalNetwork {
    encoder: CheckedEncoder,
    head: nn::Linear,
    config: EncoderConfig,
}

impl UnimodalNetwork {
    /// Registers the network in `vs`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid encoder, or a number of outputs below 1.
    pub fn new(vs: &VarStore, encoder: &EncoderConfig, outputs: i64) -> Result<Self> {
        check_outputs(outputs)?;
        let config = encoder.clone();
        let encoder = CheckedEncoder::new(vs, "net", |path| config.build(path))?;
        let head = Initialisation::Tch.linear(vs.root() / "head", encoder.width(), outputs);
        Ok(Self { encoder, head, config })
    }

    /// Loads ImageNet weights into the backbone of an image encoder, as
    /// [`MixedNetwork::load_image_weights`] does.
    ///
    /// # Errors
    /// The errors of [`MixedNetwork::load_image_weights`].
    pub fn load_image_weights(&self, vs: &VarStore, file: impl AsRef<Path>) -> Result<()> {
        let images = self.config.backbone().map(|backbone| ("net".to_owned(), backbone));
        pretrained::load(vs, images.as_slice(), file.as_ref())
    }

    /// Freezes `vs` and returns the network as the teacher of `modality`.
    pub fn into_teacher(self, modality: impl Into<Modality>, vs: &mut VarStore) -> FrozenModel {
        FrozenModel::from_model(modality, vs, self)
    }
}

impl UnimodalModel for UnimodalNetwork {
    fn forward(&self, input: &Input, train: bool) -> Result<(Tensor, Tensor)> {
        let features = self.encoder.forward("a unimodal network", input, train)?;
        let predictions = self.head.forward(&features);
        Ok((features, predictions))
    }
}
