//! Methods as compositions of the library's parts: loss, scheduler, suppression, modulation, and what they
//! need of the student.

use g2d::{
    SmpScheduler,
    calibration::{Calibration, FusionWeights},
    loss::{Distillation, HeadTerm},
    modulation::Modulate,
    paper::baselines::Ogm,
    schedule::{Joint, Partial, Ranking, Sequential},
    trainer::{GradientScope, Suppression},
};
use serde::{Deserialize, Serialize};

use super::{
    methods::{Method, Recipe, Smp, TermSet, Weights},
    rivals::{Rival, RivalConfig, RivalHeads},
};

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
    /// The parameters whose gradients OGM scales: in the authors' code those of 2-D convolutions.
    pub ogm_scope: GradientScope,
    /// The implementation of suppression.
    pub suppression: SuppressionStyle,
    /// Balanced training.
    pub balanced: BalancedConfig,
    /// The methods of other papers.
    pub rivals: RivalConfig,
}

/// The hyper-parameters of balanced training, the same for all data sets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(default)]
pub struct BalancedConfig {
    /// Temperature of the head and ensemble terms
    #[arg(long, default_value_t = 4.0, value_name = "T")]
    pub head_temperature: f64,
    /// Weight of the task loss beside an ensemble term, and for a fusion without heads
    #[arg(long, default_value_t = 3.0, value_name = "WEIGHT")]
    pub fused_weight: f64,
}

impl Default for BalancedConfig {
    fn default() -> Self {
        Self { head_temperature: 4.0, fused_weight: 3.0 }
    }
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

/// What the teachers' validation data tell a method.
#[derive(Debug, Clone)]
pub enum TeacherKnowledge {
    /// Of classes: the calibration.
    Classes(Calibration),
    /// Of values: fusion weights by validation error, and the ranking.
    Values { weights: FusionWeights, ranking: Ranking },
}

/// What a fusion is.
#[derive(Debug, Clone, Copy)]
pub struct FusionTraits {
    /// Whether it is a weighted sum of unimodal heads.
    pub late: bool,
    /// Whether it has unimodal logits of its own.
    pub slices: bool,
}

/// What the fusion of a student needs for a method.
#[derive(Debug, Clone, Default)]
pub struct StudentDesign {
    /// The weights of a late fusion; the mean without them.
    pub weights: Option<FusionWeights>,
    /// Whether unimodal heads are registered beside the fusion.
    pub heads: bool,
}

impl Method {
    /// What the method needs of the student's fusion.
    pub fn design(
        self,
        teachers: &TeacherKnowledge,
        fusion: FusionTraits,
    ) -> g2d::Result<StudentDesign> {
        let weights = match (self.recipe().weights, teachers) {
            (Weights::Uniform, _) => None,
            (Weights::Calibrated, TeacherKnowledge::Classes(of)) => Some(of.fusion_weights()?),
            (Weights::ByAccuracy, TeacherKnowledge::Classes(of)) => {
                Some(of.fusion_weights_by_accuracy()?)
            }
            (_, TeacherKnowledge::Values { weights, .. }) => Some(weights.clone()),
        };
        let heads = match self.rival().map(Rival::heads) {
            None => self.trains_heads() && !fusion.late,
            Some(RivalHeads::None) => false,
            Some(RivalHeads::Slices) => !fusion.slices,
            Some(RivalHeads::Own) => true,
        };
        Ok(StudentDesign { weights: weights.filter(|_| fusion.late), heads })
    }

    /// The terms of the loss, from the weights `given` to the published ones.
    pub fn distillation(
        self,
        given: &Distillation,
        config: &BalancedConfig,
        teachers: &TeacherKnowledge,
        late: bool,
    ) -> Distillation {
        let TermSet { features, logits, heads, ensemble } = self.recipe().terms;
        let mut terms = given.clone();
        terms.alpha *= f64::from(u8::from(features));
        terms.beta *= f64::from(u8::from(logits));
        let temperature = config.head_temperature;
        let head =
            |target| HeadTerm { target, temperature: temperature.into(), ..HeadTerm::default() };
        terms.head = heads.map(head);
        if let (true, TeacherKnowledge::Classes(calibration)) = (ensemble, teachers) {
            let mut term = calibration.ensemble_term();
            term.temperature = temperature;
            terms.ensemble = Some(term);
        }
        if terms.head.is_some() && (ensemble || !late) {
            terms.task_weight *= config.fused_weight;
        }
        // Beside a fusion that is not a sum of heads, a teacher without information is switched off.
        if let (Some(head), TeacherKnowledge::Classes(calibration), false) =
            (&mut terms.head, teachers, late)
        {
            head.weight = calibration.information_weights();
            terms.feature_weight = calibration.information_weights();
        }
        terms
    }

    /// The scheduler, and how suppression is implemented.
    pub fn smp(
        self,
        config: &MethodConfig,
        teachers: &TeacherKnowledge,
    ) -> (Box<dyn SmpScheduler>, Suppression) {
        let MethodConfig { stages, ranking, partial_alpha, .. } = config;
        let epochs: u64 = stages.iter().sum();
        let (smp, authors) = (self.recipe().smp, config.suppression == SuppressionStyle::Authors);
        let sequential = |ranking: &Ranking| -> Box<dyn SmpScheduler> {
            Box::new(Sequential::new(stages.as_slice()).ranking(ranking.clone()))
        };
        let scheduler: Box<dyn SmpScheduler> = match smp {
            Smp::None | Smp::Ogm | Smp::OgmGe => Box::new(Joint::default()),
            Smp::Sequential if authors && epochs > 0 => Box::new(Sequential::new([epochs])),
            Smp::Sequential => sequential(ranking),
            Smp::FusedLoss => sequential(&match teachers {
                TeacherKnowledge::Classes(calibration) => calibration.ranking(),
                TeacherKnowledge::Values { ranking, .. } => ranking.clone(),
            }),
            Smp::Partial => {
                Box::new(Partial::new(*partial_alpha, 0..epochs).ranking(ranking.clone()))
            }
        };
        let suppression = match smp {
            Smp::FusedLoss => Suppression::FusedLoss,
            _ if authors => Suppression::ZeroGradient(GradientScope::FourDimensional),
            _ => Suppression::SkipBackward,
        };
        (scheduler, suppression)
    }

    /// The modulation of gradients after backward, if the method has one.
    pub fn modulation(self, config: &MethodConfig, seed: u64) -> Option<Box<dyn Modulate>> {
        let last = config.stages.iter().sum::<u64>().checked_sub(1)?;
        let ogm = || Ogm::new(config.ogm_alpha, 0..=last).scope(config.ogm_scope);
        match self.recipe().smp {
            Smp::Ogm => Some(Box::new(ogm())),
            Smp::OgmGe => Some(Box::new(ogm().with_noise(seed))),
            _ => None,
        }
    }
}
