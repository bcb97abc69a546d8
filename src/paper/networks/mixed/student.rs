//! Encoders of different kinds and a fusion.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use super::encoder::CheckedEncoder;
use super::fusion::FusionModule;
use super::{EncoderConfig, MixedFusion, pretrained};
use crate::modality::check_names;
use crate::{
    batch::Batch,
    error::{self, Result},
    modality::Modality,
    parameters::ModalityParams,
    student::Student,
};

/// The choices in a [`MixedNetwork`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MixedConfig {
    /// The modalities and their encoders, in the order of a batch's inputs.
    pub encoders: Vec<(Modality, EncoderConfig)>,
    /// The fusion.
    pub fusion: MixedFusion,
    /// C: 1 for the regression of one value, or the number of classes.
    pub outputs: i64,
}

/// An encoder per modality (`{modality}_net`) and a fusion (`fusion_module`): the student.
///
/// The encoders' features may differ in width.
///
/// # Example
/// ```
/// use g2d::paper::networks::{;
/// use g2d::{Batch, Student};
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
/// assert_eq!(network.fuse(&features, true)?.size(), [4, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MixedNetwork {
    modalities: Vec<Modality>,
    encoders: Vec<CheckedEncoder>,
    fusion: FusionModule,
}

impl MixedNetwork {
    /// Registers the network in `vs`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for fewer than two modalities, names that repeat or
    /// that a file could not carry, an encoder that cannot work, or no output.
    pub fn new(vs: &nn::VarStore, config: &MixedConfig) -> Result<Self> {
        let modalities: Vec<Modality> = config.encoders.iter().map(|(m, _)| m.clone()).collect();
        check_names(&modalities)?;
        check_outputs(config.outputs)?;
        let root = vs.root();
        let encoder = |(m, encoder): &(Modality, EncoderConfig)| {
            CheckedEncoder::new(&(&root / net(m)), encoder)
        };
        let encoders = config.encoders.iter().map(encoder).collect::<Result<_>>()?;
        let widths: Vec<_> = config.encoders.iter().map(|(m, e)| (m.clone(), e.width())).collect();
        let fusion =
            FusionModule::new(&(&root / "fusion_module"), config.fusion, &widths, config.outputs);
        Ok(Self { modalities, encoders, fusion })
    }

    /// Which parameters of `vs` are which encoder's.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if `vs` is not the store that the network is in.
    pub fn encoder_params(&self, vs: &nn::VarStore) -> Result<ModalityParams> {
        ModalityParams::by_prefix(vs, self.modalities.iter().map(|m| (m.clone(), net(m))))
    }

    /// Starts the backbone of every image modality from ImageNet weights: torchvision's names in a
    /// safetensors file, its last layer left out.
    ///
    /// # Errors
    /// [`Error::Io`](crate::error::Error::Io) or [`Error::Data`](crate::error::Error::Data) with the path if the
    /// file cannot be read or is not the whole network that the backbone is;
    /// [`Error::Config`](crate::error::Error::Config) if there is no image modality or its backbone is
    /// compact. Nothing is changed then.
    pub fn load_image_weights(&self, vs: &nn::VarStore, file: impl AsRef<Path>) -> Result<()> {
        let named = self.modalities.iter().zip(&self.encoders);
        let images: Vec<_> =
            named.filter_map(|(m, e)| Some((net(m), e.config().backbone()?))).collect();
        pretrained::load(vs, &images, file.as_ref())
    }

    /// Refuses features that the fusion was not made for.
    fn check_features(&self, features: &[Tensor]) -> Result<()> {
        let rows = features.first().and_then(|f| f.size().first().copied()).unwrap_or(0);
        let widths = || self.encoders.iter().map(|e| e.config().width());
        let fits = |(f, width): (&Tensor, i64)| f.size() == [rows, width];
        if features.len() == self.encoders.len() && features.iter().zip(widths()).all(fits) {
            return Ok(());
        }
        Err(error::shape(
            "features given to the fusion",
            format!("[B, d] of {:?} with d {:?}", self.modalities, widths().collect::<Vec<_>>()),
            format!("{:?}", features.iter().map(Tensor::size).collect::<Vec<_>>()),
            "pass what `encode` returns, in the student's order",
        ))
    }
}

fn net(modality: &Modality) -> String {
    format!("{modality}_net")
}

pub(super) fn check_outputs(outputs: i64) -> Result<()> {
    if outputs >= 1 {
        return Ok(());
    }
    Err(error::config(
        "outputs of the network",
        "at least 1",
        format!("{outputs}"),
        "1 for a value, or the data set's number of classes",
    ))
}

impl Student for MixedNetwork {
    fn modalities(&self) -> &[Modality] {
        &self.modalities
    }

    fn encode(&self, m: usize, batch: &Batch, train: bool) -> Result<Tensor> {
        let what = format!("modality {:?}", self.modalities[m]);
        self.encoders[m].forward(&what, batch.input(m), train)
    }

    fn fuse(&self, features: &[Tensor], _train: bool) -> Result<Tensor> {
        self.check_features(features)?;
        Ok(self.fusion.forward(features))
    }

    fn feature_shape(&self, m: usize) -> Option<Vec<i64>> {
        Some(vec![self.encoders[m].config().width()])
    }

    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        Some(self.fusion.unimodal(m, features))
    }
}
