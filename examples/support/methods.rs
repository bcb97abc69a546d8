//! The methods, each a composition of the library's parts.

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

/// How the student is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Method {
    /// The task's loss, everything learns
    Joint,
    /// The task's loss with Sequential Modality Prioritization
    JointSmp,
    /// The task's loss with feature distillation
    Umt,
    /// L_G2D, everything learns
    G2dLoss,
    /// L_G2D with Sequential Modality Prioritization: G²D
    G2dSmp,
    /// L_G2D, stronger encoders slowed by 1 − tanh(α·ratio) instead of stopped
    G2dPartial,
    /// The task's loss with on-the-fly gradient modulation
    Ogm,
    /// The same with noise in the gradients
    OgmGe,
}

/// What the methods can be tuned by, beside what all trainings share.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// τ_1, τ_2, …: epochs in which one encoder after the other learns alone; partial suppression
    /// and modulation last as long as all of them.
    pub stages: Vec<u64>,
    /// On what the order of modalities rests.
    pub ranking: Ranking,
    /// α of partial suppression.
    pub partial_alpha: f64,
    /// α of OGM and OGM-GE.
    pub ogm_alpha: f64,
    /// What a κ of 0 does.
    pub suppression: HowSuppressed,
}

/// What a κ of 0 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HowSuppressed {
    /// The encoder is outside the graph.
    SkipBackward,
    /// As in the authors' code: gradients of 4-D parameters multiplied, batch by batch.
    #[allow(dead_code, reason = "audio_visual's")]
    Authors,
}

impl Method {
    /// The paper's ablation: each of the two parts, both and none.
    pub const FOUR: [Self; 4] = [Self::Joint, Self::JointSmp, Self::G2dLoss, Self::G2dSmp];

    /// All that know neither classes nor a number of modalities.
    #[allow(dead_code, reason = "audio_visual's has OGM")]
    pub const ANY: [Self; 6] =
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

    /// Its key in files.
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

    /// Does it ask the teachers anything?
    pub fn uses_teachers(self) -> bool {
        !matches!(self, Self::Joint | Self::Ogm | Self::OgmGe)
    }

    /// What is distilled beside the task's own loss.
    pub fn distillation(self) -> Distillation {
        match self {
            Self::Joint | Self::JointSmp | Self::Ogm | Self::OgmGe => Distillation::none(),
            Self::Umt => Distillation::features_only(),
            Self::G2dLoss | Self::G2dSmp | Self::G2dPartial => Distillation::default(),
        }
    }

    /// Who learns when, and what waiting means.
    pub fn smp(self, schedule: &Schedule) -> (Box<dyn SmpScheduler>, Suppression) {
        let epochs: u64 = schedule.stages.iter().sum();
        let authors = Suppression::ZeroGradient(GradientScope::FourDimensional);
        match (schedule.suppression, self, epochs) {
            (HowSuppressed::Authors, Self::JointSmp | Self::G2dSmp, 1..) => {
                (Box::new(Sequential::new([epochs])), authors)
            }
            (HowSuppressed::Authors, ..) => (self.scheduler(schedule), authors),
            (HowSuppressed::SkipBackward, ..) => {
                (self.scheduler(schedule), Suppression::SkipBackward)
            }
        }
    }

    fn scheduler(self, schedule: &Schedule) -> Box<dyn SmpScheduler> {
        let Schedule { stages, ranking, partial_alpha, .. } = schedule;
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

    /// What changes gradients after backward, if anything does.
    pub fn modulation(self, schedule: &Schedule, seed: u64) -> Option<Box<dyn Modulate>> {
        let last = schedule.stages.iter().sum::<u64>().checked_sub(1)?;
        let ogm = || Ogm::new(schedule.ogm_alpha, 0..=last);
        match self {
            Self::Ogm => Some(Box::new(ogm())),
            Self::OgmGe => Some(Box::new(ogm().with_noise(seed))),
            _ => None,
        }
    }
}

/// Its name for people.
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
