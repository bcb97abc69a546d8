//! Encoders and a fusion.

use serde::{Deserialize, Serialize};
use tch::{Tensor, nn};

use super::backbone::Net;
use super::{Backbone, Fusion, FusionKind, Initialisation};
use crate::modality::check_names;
use crate::{
    batch::Batch,
    error::{self, Result},
    modality::Modality,
    parameters::ModalityParams,
    student::Student,
};

/// What L_feat compares with the teachers' features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DistilledFeatures {
    /// The encoders' features.
    #[default]
    Encoder,
    /// Gated fusion's fc_x(x) and fc_y(y), as in the authors' code: L_feat then trains the
    /// projections too, which belong to the fusion and always learn.
    GatedProjection,
}

/// What is reported as a modality's own logits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnimodalLogits {
    /// The modality's part of the fused logits; none of FiLM and gated fusion, which have no such
    /// part.
    #[default]
    Own,
    /// The authors' formula for every fusion. For FiLM and gated fusion it is a score that OGM can
    /// balance by, not the model's own computation.
    AuthorsFormula,
}

/// The choices in a [`FusionClassifier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassifierConfig {
    /// The encoders.
    pub backbone: Backbone,
    /// The fusion.
    pub fusion: FusionKind,
    /// How weights start.
    pub init: Initialisation,
    /// What L_feat compares.
    pub distilled: DistilledFeatures,
    /// What a modality's own logits are.
    pub unimodal: UnimodalLogits,
}

impl ClassifierConfig {
    /// The authors' networks: ResNet-18, their initialisation, their unimodal logits, and what they
    /// distil into.
    pub fn authors(fusion: FusionKind) -> Self {
        let distilled = match fusion {
            FusionKind::Gated => DistilledFeatures::GatedProjection,
            _ => DistilledFeatures::Encoder,
        };
        Self {
            backbone: Backbone::ResNet18,
            fusion,
            init: Initialisation::Authors,
            distilled,
            unimodal: UnimodalLogits::AuthorsFormula,
        }
    }
}

/// An encoder per modality (`{modality}_net`) and a fusion (`fusion_module`): the student.
///
/// With the modalities `audio` and `visual` the parameters have the authors' names.
#[derive(Debug)]
pub struct FusionClassifier {
    modalities: Vec<Modality>,
    encoders: Vec<Net>,
    fusion: Box<dyn Fusion>,
    config: ClassifierConfig,
}

impl FusionClassifier {
    /// Registers the network in `vs`; `modalities` are names and input channels.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for fewer than two modalities, names that repeat or
    /// that a file could not carry, a fusion that does not take so many, a projection that the
    /// fusion does not have, or a number of channels or classes below 1.
    pub fn new(
        vs: &nn::VarStore,
        modalities: &[(Modality, i64)],
        classes: i64,
        config: ClassifierConfig,
    ) -> Result<Self> {
        let ClassifierConfig { backbone, fusion, init, distilled, .. } = config;
        let names: Vec<Modality> = modalities.iter().map(|(m, _)| m.clone()).collect();
        check_names(&names)?;
        if distilled == DistilledFeatures::GatedProjection && fusion != FusionKind::Gated {
            return Err(error::config(
                "distilled features",
                "DistilledFeatures::Encoder",
                format!("GatedProjection with {fusion:?} fusion"),
                "only FusionKind::Gated has projections",
            ));
        }
        let root = vs.root();
        let fusion = fusion.build(
            &(&root / "fusion_module"),
            names.len(),
            backbone.width(),
            classes,
            init,
        )?;
        let encoder = |(m, channels): &(Modality, i64)| {
            Net::new(&(&root / net(m)), backbone, *channels, init)
        };
        let encoders = modalities.iter().map(encoder).collect::<Result<_>>()?;
        Ok(Self { modalities: names, encoders, fusion, config })
    }

    /// Which parameters of `vs` are which encoder's.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if `vs` is not the store that the network is in.
    pub fn encoder_params(&self, vs: &nn::VarStore) -> Result<ModalityParams> {
        ModalityParams::by_prefix(vs, self.modalities.iter().map(|m| (m.clone(), net(m))))
    }

    /// Refuses features that the fusion was not made for.
    fn check_features(&self, features: &[Tensor]) -> Result<()> {
        let width = self.config.backbone.width();
        let rows = features.first().and_then(|f| f.size().first().copied()).unwrap_or(0);
        let fits = |f: &Tensor| f.size() == [rows, width];
        if features.len() == self.modalities.len() && features.iter().all(fits) {
            return Ok(());
        }
        Err(error::shape(
            "features given to the fusion",
            format!("a tensor [B, {width}] for each of {:?}", self.modalities),
            format!("{:?}", features.iter().map(Tensor::size).collect::<Vec<_>>()),
            "pass what `encode` returns, in the student's order",
        ))
    }
}

fn net(modality: &Modality) -> String {
    format!("{modality}_net")
}

impl Student for FusionClassifier {
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

    fn feature_shape(&self, _m: usize) -> Option<Vec<i64>> {
        Some(vec![self.config.backbone.width()])
    }

    fn distilled_features(&self, features: &[Tensor]) -> Result<Vec<Tensor>> {
        self.check_features(features)?;
        let encoders_own = || features.iter().map(Tensor::shallow_clone).collect();
        Ok(match self.config.distilled {
            DistilledFeatures::Encoder => encoders_own(),
            DistilledFeatures::GatedProjection => {
                self.fusion.gated_projection(features).unwrap_or_else(encoders_own)
            }
        })
    }

    fn unimodal_logits(&self, m: usize, features: &[Tensor]) -> Option<Tensor> {
        match self.config.unimodal {
            UnimodalLogits::Own => self.fusion.unimodal_logits(m, features),
            UnimodalLogits::AuthorsFormula => {
                Some(self.fusion.authors_unimodal_logits(m, features))
            }
        }
    }
}
