//! The methods, each a composition of the library's parts.

use g2d::{Classification, Distillation, Joint, Sequential, SmpScheduler};

/// How the student is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Cross-entropy, everything learns.
    Joint,
    /// Cross-entropy with Sequential Modality Prioritization.
    JointSmp,
    /// L_G2D with Sequential Modality Prioritization: G²D.
    G2dSmp,
}

impl Method {
    pub const ALL: [Self; 3] = [Self::Joint, Self::JointSmp, Self::G2dSmp];

    /// Its key in files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Joint => "joint",
            Self::JointSmp => "joint_smp",
            Self::G2dSmp => "g2d_smp",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::Joint => "joint training",
            Self::JointSmp => "joint + SMP",
            Self::G2dSmp => "G²D with SMP",
        }
    }

    /// Does it ask the teachers anything?
    pub fn uses_teachers(self) -> bool {
        self != Self::Joint
    }

    pub fn loss(self) -> Classification {
        Classification::new(match self {
            Self::Joint | Self::JointSmp => Distillation::none(),
            Self::G2dSmp => Distillation::default(),
        })
    }

    /// `stage` is τ_1.
    pub fn scheduler(self, stage: u64) -> Box<dyn SmpScheduler> {
        match self {
            Self::Joint => Box::new(Joint::default()),
            Self::JointSmp | Self::G2dSmp => Box::new(Sequential::stages([stage])),
        }
    }
}
