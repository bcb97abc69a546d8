//! The authors' classifiers: the student with its fusion, and the teacher of one modality.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn, nn::Module, nn::VarStore};

use super::{
    Backbone, FusionKind, Initialisation,
    encoder::{CheckedEncoder, Encoders},
    fusion::{Fusion, check_outputs},
};
use crate::batch::{Batch, Input};
use crate::calibration::FusionWeights;
use crate::error::{self, Result};
use crate::heads::WithHeads;
use crate::modality::Modality;
use crate::parameters::ModalityParams;
use crate::student::{Features, Student};
use crate::teacher::{FrozenModel, UnimodalModel};

/// The student's features that L_feat compares with the teachers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistilledFeatures {
    /// The encoders' features.
    #[default]
    Encoder,
    /// fc_x(x) and fc_y(y) of gated fusion, as in the authors' code. L_feat then also trains these
    /// projections, which belong to the fusion and are never suppressed.
    GatedProjection,
}

/// The unimodal logits that a [`FusionClassifier`] returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnimodalLogits {
    /// The modality's part of the fused logits; none for FiLM and gated fusion, whose logits have no
    /// such parts.
    #[default]
    Own,
    /// The authors' formula ([`FusionKind`]) for every fusion. For FiLM and gated fusion it is a
    /// score for [`Ogm`](crate::paper::baselines::Ogm), which the model itself never computes.
    AuthorsFormula,
}

/// Configuration of a [`FusionClassifier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierConfig {
    /// The encoder of every modality.
    pub backbone: Backbone,
    /// The fusion.
    pub fusion: FusionKind,
    /// The initialisation of all weights.
    pub init: Initialisation,
    /// The features that L_feat compares.
    pub distilled: DistilledFeatures,
    /// The unimodal logits.
    pub unimodal: UnimodalLogits,
}

impl ClassifierConfig {
    /// The authors' networks: ResNet-18 with their initialisation, unimodal logits and distilled
    /// features.
    pub fn authors(fusion: FusionKind) -> Self {
        Self {
            backbone: Backbone::ResNet18,
            fusion,
            init: Initialisation::Authors,
            distilled: match fusion {
                FusionKind::Gated => DistilledFeatures::GatedProjection,
                _ => DistilledFeatures::Encoder,
            },
            unimodal: UnimodalLogits::AuthorsFormula,
        }
    }
}

/// The student: one encoder per modality (`{modality}_net`) and a fusion (`fusion_module`).
///
/// Inputs are images [B, channels, H, W] or videos [B, channels, T, H, W], whose features are the
/// mean over the frames. With the modalities `audio` and `visual` the parameters have the authors'
/// names.
#[derive(Debug)]
pub struct FusionClassifier {
    encoders: Encoders,
    fusion: Fusion,
    distilled: DistilledFeatures,
    unimodal: UnimodalLogits,
}

impl FusionClassifier {
    /// Registers the network in `vs`; `modalities` are names and numbers of input channels.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for invalid names ([`Modality::check_names`]), a
    /// fusion that does not take this number of modalities, projections that the fusion does not
    /// have, or a number of channels or classes below 1.
    pub fn new(
        vs: &VarStore,
        modalities: &[(Modality, i64)],
        classes: i64,
        config: ClassifierConfig,
    ) -> Result<Self> {
        let ClassifierConfig { backbone, fusion, init, distilled, unimodal } = config;
        if distilled == DistilledFeatures::GatedProjection && fusion != FusionKind::Gated {
            let (what, expected) = ("distilled features", "DistilledFeatures::Encoder");
            let found = format!("GatedProjection with {fusion:?} fusion");
            let hint = "only FusionKind::Gated has projections";
            return Err(error::config(what, expected, found, hint));
        }
        let path = vs.root() / "fusion_module";
        let fusion = fusion.build(&path, modalities.len(), backbone.width(), classes, init)?;
        let encoders =
            Encoders::new(vs, modalities, |path, &channels| backbone.build(path, channels, init))?;
        Ok(Self { encoders, fusion, distilled, unimodal })
    }

    /// Sets the weights of the late fusion, z = Σ_m w_m z_m, which are the buffer
    /// `fusion_module.fusion_weights` in `vs`. Without them the fusion is the mean.
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
    /// [`Error::Config`](crate::Error::Config) for a number of outputs below 1.
    pub fn with_heads(self, vs: &VarStore, classes: i64) -> Result<WithHeads<Self>> {
        let widths: Vec<i64> = self.encoders.widths().map(|(_, width)| width).collect();
        WithHeads::new(self, vs.root() / "heads", &widths, classes)
    }

    /// Returns the parameters of the encoders.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if the network was not built in `vs`.
    pub fn encoder_params(&self, vs: &VarStore) -> Result<ModalityParams> {
        self.encoders.params(vs)
    }
}

impl Student for FusionClassifier {
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

    fn distilled_features(&self, features: &Features<'_>) -> Result<Vec<Tensor>> {
        self.encoders.check_features(features)?;
        let projections = match self.distilled {
            DistilledFeatures::Encoder => None,
            DistilledFeatures::GatedProjection => self.fusion.gated_projections(features),
        };
        Ok(projections.unwrap_or_else(|| features.iter().map(Tensor::shallow_clone).collect()))
    }

    fn unimodal_logits(&self, m: usize, features: &Features<'_>) -> Result<Option<Tensor>> {
        Ok(match self.unimodal {
            UnimodalLogits::Own => self.fusion.contribution(m, features),
            UnimodalLogits::AuthorsFormula => self.fusion.authors_logits(m, features),
        })
    }
}

/// A teacher before it is frozen: an encoder (`net`) and a linear head (`classifier`).
///
/// Inputs are images [B, channels, H, W] or videos [B, channels, T, H, W].
#[derive(Debug)]
pub struct UnimodalClassifier {
    encoder: CheckedEncoder,
    head: nn::Linear,
}

impl UnimodalClassifier {
    /// Registers the network in `vs`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a number of channels or classes below 1.
    pub fn new(
        vs: &VarStore,
        channels: i64,
        classes: i64,
        backbone: Backbone,
        init: Initialisation,
    ) -> Result<Self> {
        check_outputs(classes)?;
        let encoder = CheckedEncoder::new(vs, "net", |path| backbone.build(path, channels, init))?;
        let head = init.linear(vs.root() / "classifier", backbone.width(), classes);
        Ok(Self { encoder, head })
    }

    /// Freezes `vs` and returns the network as the teacher of `modality`.
    pub fn into_teacher(self, modality: impl Into<Modality>, vs: &mut VarStore) -> FrozenModel {
        FrozenModel::from_model(modality, vs, self)
    }
}

impl UnimodalModel for UnimodalClassifier {
    fn forward(&self, input: &Input, train: bool) -> Result<(Tensor, Tensor)> {
        let features = self.encoder.forward("a unimodal classifier", input, train)?;
        let logits = self.head.forward(&features);
        Ok((features, logits))
    }
}
