//! Training methods, each a composition of the library's parts.

use std::fmt;

use g2d::{
    SmpScheduler,
    loss::Distillation,
    modulation::Modulate,
    paper::baselines::Ogm,
    schedule::{Joint, Partial, Ranking, Sequential},
    trainer::{GradientScope, Suppression},
};
use serde::{Deserialize, Serialize};

/// A method of training the student.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Method {
    /// Task loss, all encoders trained jointly
    Joint,
    /// Task loss with Sequential Modality Prioritization (SMP)
    JointSmp,
    /// Task loss with feature distillation
    Umt,
    /// L_G2D, all encoders trained jointly
    G2dLoss,
    /// G²D: L_G2D with SMP
    G2dSmp,
    /// L_G2D, with stronger encoders slowed by 1 − tanh(α·ratio) instead of suppressed
    G2dPartial,
    /// Task loss with on-the-fly gradient modulation
    Ogm,
    /// OGM with noise added to gradients
    OgmGe,
}

/// The hyper-parameters of the methods.
#[derive(Debug, Clone)]
pub struct MethodConfig {
    /// τ_1, τ_2, …: for so many epochs each, one encoder is trained alone. Partial suppression and
    /// gradient modulation last for their sum.
    pub stages: Vec<u64>,
    /// The ranking of modalities.
    pub ranking: Ranking,
    /// α of partial suppression.
    pub partial_alpha: f64,
    /// α of OGM and OGM-GE.
    pub ogm_alpha: f64,
    /// The implementation of suppression.
    pub suppression: SuppressionStyle,
}

/// The implementation of suppression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionStyle {
    /// A suppressed encoder runs without gradient.
    SkipBackward,
    /// As in the authors' code: gradients of 4-D parameters are multiplied by κ, ranked per batch.
    Authors,
}

impl Method {
    /// The paper's ablation: neither of the two parts of G²D, each alone, and both.
    pub const ABLATION: [Self; 4] = [Self::Joint, Self::JointSmp, Self::G2dLoss, Self::G2dSmp];

    /// The methods for any task and any number of modalities; OGM is for two modalities and classes.
    pub const GENERAL: [Self; 6] =
        [Self::Joint, Self::JointSmp, Self::Umt, Self::G2dLoss, Self::G2dSmp, Self::G2dPartial];

    pub const ALL: [Self; 8] = [
        Self::Joint,
        Self::JointSmp,
        Self::Umt,
        Self::G2dLoss,
        Self::G2dSmp,
        Self::G2dPartial,
        Self::Ogm,
        Self::OgmGe,
    ];

    /// The name in files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::JointSmp => "joint_smp",
            Self::Umt => "umt",
            Self::G2dLoss => "g2d_loss",
            Self::G2dSmp => "g2d_smp",
            Self::G2dPartial => "g2d_partial",
            Self::Ogm => "ogm",
            Self::OgmGe => "ogm_ge",
        }
    }

    /// Returns whether the method needs teacher outputs.
    pub fn uses_teachers(self) -> bool {
        !matches!(self, Self::Joint | Self::Ogm | Self::OgmGe)
    }

    /// The distillation terms of the method.
    pub fn distillation(self) -> Distillation {
        match self {
            Self::Joint | Self::JointSmp | Self::Ogm | Self::OgmGe => Distillation::none(),
            Self::Umt => Distillation::features_only(),
            Self::G2dLoss | Self::G2dSmp | Self::G2dPartial => Distillation::default(),
        }
    }

    /// The scheduler, and how suppression is implemented.
    pub fn smp(self, config: &MethodConfig) -> (Box<dyn SmpScheduler>, Suppression) {
        let epochs: u64 = config.stages.iter().sum();
        let authors = Suppression::ZeroGradient(GradientScope::FourDimensional);
        match (config.suppression, self, epochs) {
            (SuppressionStyle::Authors, Self::JointSmp | Self::G2dSmp, 1..) => {
                (Box::new(Sequential::new([epochs])), authors)
            }
            (SuppressionStyle::Authors, ..) => (self.scheduler(config), authors),
            (SuppressionStyle::SkipBackward, ..) => {
                (self.scheduler(config), Suppression::SkipBackward)
            }
        }
    }

    fn scheduler(self, config: &MethodConfig) -> Box<dyn SmpScheduler> {
        let MethodConfig { stages, ranking, partial_alpha, .. } = config;
        match self {
            Self::JointSmp | Self::G2dSmp => {
                Box::new(Sequential::new(stages.as_slice()).ranking(ranking.clone()))
            }
            Self::G2dPartial => {
                let all = 0..stages.iter().sum();
                Box::new(Partial::new(*partial_alpha, all).ranking(ranking.clone()))
            }
            Self::Joint | Self::Umt | Self::G2dLoss | Self::Ogm | Self::OgmGe => {
                Box::new(Joint::default())
            }
        }
    }

    /// The modulation of gradients after backward, if the method has one.
    pub fn modulation(self, config: &MethodConfig, seed: u64) -> Option<Box<dyn Modulate>> {
        let last = config.stages.iter().sum::<u64>().checked_sub(1)?;
        let ogm = || Ogm::new(config.ogm_alpha, 0..=last);
        match self {
            Self::Ogm => Some(Box::new(ogm())),
            Self::OgmGe => Some(Box::new(ogm().with_noise(seed))),
            _ => None,
        }
    }
}

/// The name in tables and figures.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Joint => "joint training",
            Self::JointSmp => "joint + SMP",
            Self::Umt => "UMT",
            Self::G2dLoss => "L_G2D",
            Self::G2dSmp => "G²D with SMP",
            Self::G2dPartial => "G²D, partial",
            Self::Ogm => "OGM",
            Self::OgmGe => "OGM-GE",
        })
    }
}
