//! Training methods: their names and the parts of which each consists.

use std::fmt;

use g2d::loss::HeadTarget;

use super::rivals::Rival;

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
    /// Task loss on the fused logits and on every unimodal head, without teachers
    HeadCe,
    /// Balanced training: feature and head distillation, calibrated fusion weights
    Balanced,
    /// Balanced training with the ensemble term
    BalancedFull,
    /// As balanced_full, with SMP by κ on the fused loss, ordered by validation confidence
    BalancedSmp,
    /// Task loss with calibrated fusion weights
    JointWeighted,
    /// Task loss with the ensemble term
    JointEnsemble,
    /// Task loss on fused logits and heads, with feature distillation
    HeadCeFeatures,
    /// As head_ce_features, with calibrated fusion weights
    HeadCeFeaturesWeighted,
    /// Head distillation alone
    HeadKd,
    /// Head distillation with feature distillation
    HeadKdFeatures,
    /// Head distillation with calibrated fusion weights
    HeadKdWeighted,
    /// Adaptive gradient modulation
    Agm,
    /// Prototypical modal rebalance, for two modalities
    Pmr,
    /// Fused and unimodal gradients combined without conflict
    #[value(name = "mmpareto")]
    MmPareto,
    /// Alternating unimodal adaptation of a shared head
    Mla,
    /// Modalities boosted one after the other
    ReconBoost,
    /// Encoders that learn from their own losses alone
    Dgl,
    /// Regularisation of the stronger of two encoders
    InfoReg,
    /// Alignment of the modalities' predictions
    Lfm,
}

/// The parts of a method.
pub struct Recipe {
    /// The name in files.
    key: &'static str,
    /// The name in tables and figures.
    title: &'static str,
    pub smp: Smp,
    pub terms: TermSet,
    pub weights: Weights,
}

/// What limits the gradients of encoders.
#[derive(Clone, Copy, PartialEq)]
pub enum Smp {
    None,
    /// SMP as published.
    Sequential,
    /// SMP by κ on the fused loss, in the order of validation confidence.
    FusedLoss,
    Partial,
    Ogm,
    OgmGe,
}

/// The terms beside the task loss.
#[derive(Clone, Copy, PartialEq)]
pub struct TermSet {
    pub features: bool,
    /// L_logit, of the published G²D.
    pub logits: bool,
    pub heads: Option<HeadTarget>,
    pub ensemble: bool,
}

/// The weights of a late fusion.
#[derive(Clone, Copy, PartialEq)]
pub enum Weights {
    Uniform,
    Calibrated,
    ByAccuracy,
}

const TASK: TermSet = TermSet { features: false, logits: false, heads: None, ensemble: false };
const FEATURES: TermSet = TermSet { features: true, ..TASK };
const G2D: TermSet = TermSet { logits: true, ..FEATURES };
const HEAD_CE: TermSet = TermSet { heads: Some(HeadTarget::Labels), ..TASK };
const HEAD_KD: TermSet = TermSet { heads: Some(HeadTarget::Teacher), ..TASK };
const BALANCED: TermSet = TermSet { features: true, ..HEAD_KD };
const FULL: TermSet = TermSet { ensemble: true, ..BALANCED };

impl Method {
    /// The methods of the comparison.
    pub const ALL: [Self; 20] = [
        Self::Joint,
        Self::JointSmp,
        Self::Umt,
        Self::G2dLoss,
        Self::G2dSmp,
        Self::G2dPartial,
        Self::Ogm,
        Self::OgmGe,
        Self::HeadCe,
        Self::Balanced,
        Self::BalancedFull,
        Self::BalancedSmp,
        Self::Agm,
        Self::Pmr,
        Self::MmPareto,
        Self::Mla,
        Self::ReconBoost,
        Self::Dgl,
        Self::InfoReg,
        Self::Lfm,
    ];

    /// The paper's ablation and balanced training.
    pub const DEFAULT: [Self; 5] =
        [Self::Joint, Self::JointSmp, Self::G2dLoss, Self::G2dSmp, Self::Balanced];

    /// The ablation of balanced training: every part alone, then together.
    pub const BALANCED_ABLATION: [Self; 13] = [
        Self::Joint,
        Self::JointWeighted,
        Self::Umt,
        Self::JointEnsemble,
        Self::HeadCe,
        Self::HeadKd,
        Self::HeadCeFeatures,
        Self::HeadKdFeatures,
        Self::HeadKdWeighted,
        Self::HeadCeFeaturesWeighted,
        Self::Balanced,
        Self::BalancedFull,
        Self::BalancedSmp,
    ];

    /// All methods in the order of tables.
    pub fn every() -> impl Iterator<Item = Self> {
        let more = Self::BALANCED_ABLATION.into_iter().filter(|m| !Self::ALL.contains(m));
        Self::ALL.into_iter().chain(more)
    }

    /// The parts of the method.
    pub fn recipe(self) -> Recipe {
        let recipe = |key, title, smp, terms, weights| Recipe { key, title, smp, terms, weights };
        let uniform = |key, title, smp, terms| recipe(key, title, smp, terms, Weights::Uniform);
        let calibrated =
            |key, title, terms| recipe(key, title, Smp::None, terms, Weights::Calibrated);
        match self {
            Self::Joint => uniform("joint", "joint training", Smp::None, TASK),
            Self::JointSmp => uniform("joint_smp", "joint + SMP", Smp::Sequential, TASK),
            Self::Umt => uniform("umt", "UMT", Smp::None, FEATURES),
            Self::G2dLoss => uniform("g2d_loss", "L_G2D", Smp::None, G2D),
            Self::G2dSmp => uniform("g2d_smp", "G²D with SMP", Smp::Sequential, G2D),
            Self::G2dPartial => uniform("g2d_partial", "G²D, partial", Smp::Partial, G2D),
            Self::Ogm => uniform("ogm", "OGM", Smp::Ogm, TASK),
            Self::OgmGe => uniform("ogm_ge", "OGM-GE", Smp::OgmGe, TASK),
            Self::HeadCe => uniform("head_ce", "head CE, no teachers", Smp::None, HEAD_CE),
            Self::Balanced => calibrated("balanced", "balanced", BALANCED),
            Self::BalancedFull => {
                recipe("balanced_full", "balanced, full", Smp::None, FULL, Weights::ByAccuracy)
            }
            Self::BalancedSmp => {
                recipe("balanced_smp", "balanced + SMP", Smp::FusedLoss, FULL, Weights::ByAccuracy)
            }
            Self::JointWeighted => calibrated("joint_weighted", "calibrated weights", TASK),
            Self::JointEnsemble => {
                let ensemble = TermSet { ensemble: true, ..TASK };
                uniform("joint_ensemble", "ensemble term", Smp::None, ensemble)
            }
            Self::HeadCeFeatures => {
                let terms = TermSet { features: true, ..HEAD_CE };
                uniform("head_ce_features", "head CE + features", Smp::None, terms)
            }
            Self::HeadCeFeaturesWeighted => {
                let terms = TermSet { features: true, ..HEAD_CE };
                calibrated("head_ce_features_weighted", "head CE + features + weights", terms)
            }
            Self::HeadKd => uniform("head_kd", "head distillation", Smp::None, HEAD_KD),
            Self::HeadKdFeatures => {
                uniform("head_kd_features", "head distillation + features", Smp::None, BALANCED)
            }
            Self::HeadKdWeighted => {
                calibrated("head_kd_weighted", "head distillation + weights", HEAD_KD)
            }
            Self::Agm => uniform("agm", "AGM", Smp::None, TASK),
            Self::Pmr => uniform("pmr", "PMR", Smp::None, TASK),
            Self::MmPareto => uniform("mmpareto", "MMPareto", Smp::None, TASK),
            Self::Mla => uniform("mla", "MLA", Smp::None, TASK),
            Self::ReconBoost => uniform("recon_boost", "ReconBoost", Smp::None, TASK),
            Self::Dgl => uniform("dgl", "DGL", Smp::None, TASK),
            Self::InfoReg => uniform("info_reg", "InfoReg", Smp::None, TASK),
            Self::Lfm => uniform("lfm", "LFM", Smp::None, TASK),
        }
    }

    /// The method of another paper that it is; `None` for those of `G2dTrainer`.
    pub fn rival(self) -> Option<Rival> {
        match self {
            Self::Agm => Some(Rival::Agm),
            Self::Pmr => Some(Rival::Pmr),
            Self::MmPareto => Some(Rival::MmPareto),
            Self::Mla => Some(Rival::Mla),
            Self::ReconBoost => Some(Rival::ReconBoost),
            Self::Dgl => Some(Rival::Dgl),
            Self::InfoReg => Some(Rival::InfoReg),
            Self::Lfm => Some(Rival::Lfm),
            _ => None,
        }
    }

    /// The name in files.
    pub fn key(self) -> &'static str {
        self.recipe().key
    }

    /// Returns whether the method can train `k` modalities to predict classes, or values.
    pub fn supports(self, k: usize, classes: bool) -> bool {
        let Recipe { smp, terms, .. } = self.recipe();
        let pairs_only = matches!(smp, Smp::Ogm | Smp::OgmGe);
        if let Some(rival) = self.rival() {
            return classes && rival.supports(k);
        }
        (!pairs_only || (k == 2 && classes)) && (!terms.ensemble || classes)
    }

    /// Returns whether the method trains unimodal heads, so that its prediction is chosen on validation
    /// data among fused logits, heads and their mixture.
    pub fn trains_heads(self) -> bool {
        self.recipe().terms.heads.is_some()
    }

    /// Returns whether the method needs teacher outputs in training.
    pub fn uses_teachers(self) -> bool {
        let Recipe { smp, terms, .. } = self.recipe();
        let TermSet { features, logits, heads, ensemble } = terms;
        let ranks = matches!(smp, Smp::Sequential | Smp::Partial);
        features || logits || ensemble || heads == Some(HeadTarget::Teacher) || ranks
    }
}

/// The name in tables and figures.
impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.recipe().title)
    }
}
