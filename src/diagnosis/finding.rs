//! A finding, the numbers it rests on, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evidence::{Better, Metric};
use crate::modality::Modality;

/// What is out of balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The fused model ends below the best teacher.
    BelowTeacher,
    /// The head's slice knows far less than the modality's teacher; others keep more.
    Suppressed,
    /// The same, but a linear probe shows that the encoder has learned: the fusion does not use it.
    Unused,
    /// The modality adds almost nothing to the fused answer, and no teacher says what it could.
    Marginal,
}

/// What to do about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// Let this modality's encoder learn alone first.
    Prioritise {
        /// Whose turn comes first.
        first: Modality,
        /// For how many epochs, where the length of a run is known.
        epochs: Option<u64>,
        /// The modality that would come first by ρ, if that is another one.
        unless_fixed: Option<Modality>,
    },
    /// It had a stage of its own, too short: make it longer.
    LengthenStage {
        /// Whose stage.
        first: Modality,
        /// To how many epochs.
        epochs: u64,
    },
    /// Leave SMP: joint training already ends above the better teacher.
    KeepJoint,
    /// Keep the schedule: it held this modality back, and the model ends above the best teacher.
    KeepSchedule,
    /// Distil from the teachers.
    Distil,
    /// Change the fusion, not the schedule.
    ReviseFusion,
    /// Train a unimodal teacher of it first: it may simply know little.
    TrainTeacher,
}

/// One thing out of balance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// What.
    pub kind: FindingKind,
    /// Whose; of [`FindingKind::BelowTeacher`] the best teacher's.
    pub modality: Modality,
    /// The numbers it rests on, by name: `head`, `teacher`, `fused`, `linear_probe`,
    /// `untrained`, `kept`, `best_kept`, `shapley`, `confidence`, `gradient_norm`, as far as they are known.
    pub numbers: Vec<(String, f64)>,
    /// What to do.
    pub advice: Advice,
}

impl Finding {
    /// The number called `name`.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// Its numbers for people: what each is, and its value in the unit of `metric`.
    pub fn shown(&self, metric: &Metric) -> Vec<(String, String)> {
        let shown = |(name, value): &(String, f64)| {
            let (name, value) = match name.as_str() {
                "head" | "teacher" => (name.as_str(), in_words(*value, metric)),
                "fused" => ("fused model", in_words(*value, metric)),
                "linear_probe" => ("linear probe of the encoder", in_words(*value, metric)),
                "untrained" => ("the same before training", in_words(*value, metric)),
                "kept" => ("kept of what its teacher knows", share(*value)),
                "best_kept" => ("kept of the best kept modality", share(*value)),
                "shapley" => ("Shapley contribution", format!("{value:.3}")),
                "shapley_total" => ("Shapley contributions in all", format!("{value:.3}")),
                "confidence" => ("ρ of its teacher", format!("{value:.3}")),
                "gradient_norm" => ("gradient norm", format!("{value:.3}")),
                other => (other, format!("{value:.4}")),
            };
            (name.to_owned(), value)
        };
        self.numbers.iter().map(shown).collect()
    }

    /// The finding in a sentence, without its advice, in the unit of `metric`.
    pub fn in_words(&self, metric: &Metric) -> String {
        let value = |name| in_words(self.number(name).unwrap_or(f64::NAN), metric);
        let (modality, measure) = (&self.modality, &metric.name);
        match self.kind {
            FindingKind::BelowTeacher => format!(
                "the fused model ends below the {modality} teacher alone: {measure} {} against {}",
                value("fused"),
                value("teacher")
            ),
            FindingKind::Suppressed => format!(
                "{modality} is suppressed: head {measure} {} against its teacher's {}",
                value("head"),
                value("teacher")
            ),
            FindingKind::Unused => format!(
                "{modality} has learned but is not used: head {measure} {}, while a linear probe of \
                 its encoder gets {} and its teacher {}",
                value("head"),
                value("linear_probe"),
                value("teacher")
            ),
            FindingKind::Marginal => format!(
                "{modality} adds almost nothing to the fused answer: its Shapley contribution is \
                 {:.3} of {:.3}",
                self.number("shapley").unwrap_or(f64::NAN),
                self.number("shapley_total").unwrap_or(f64::NAN)
            ),
        }
    }
}

fn in_words(value: f64, metric: &Metric) -> String {
    match metric.better {
        Better::HighShare => share(value),
        Better::High | Better::Low => format!("{value:.4}"),
    }
}

fn share(value: f64) -> String {
    format!("{:.1} %", 100.0 * value)
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prioritise { first, epochs, unless_fixed } => {
                match epochs {
                    Some(epochs) => write!(f, "try Sequential::new([{epochs}])")?,
                    None => write!(f, "try Sequential::stages of half the epochs")?,
                }
                write!(f, " with {first} first")?;
                unless_fixed.as_ref().map_or(Ok(()), |other| {
                    write!(f, " by Ranking::Fixed, since by ρ {other} would be")
                })
            }
            Self::LengthenStage { first, epochs } => {
                write!(f, "lengthen the stage in which {first} learns alone to {epochs} epochs")
            }
            Self::KeepJoint => f.write_str(
                "joint training already ends above the better teacher: SMP is unlikely to pay, keep \
                 the schedule joint",
            ),
            Self::KeepSchedule => f.write_str(
                "the schedule let others learn first, and the fused model ends above the best teacher: \
                 keep it",
            ),
            Self::Distil => f.write_str(
                "train with L_G2D: give the trainer the teachers, with α and β above 0",
            ),
            Self::ReviseFusion => f.write_str(
                "a schedule cannot help the encoder; change the fusion, or raise β so that the fused \
                 logits follow its teacher",
            ),
            Self::TrainTeacher => f.write_str(
                "train a unimodal teacher of it: it may be suppressed, or know little to begin with",
            ),
        }
    }
}
