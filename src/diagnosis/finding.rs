//! A finding, the numbers it rests on, and what to do.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evidence::{Better, Metric};
use crate::Modality;

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
    /// The numbers it rests on, by name: `head`, `teacher`, `fused`, `linear_probe`, `kept`,
    /// `best_kept`, `shapley`, `confidence`, `gradient_norm`, as far as they are known.
    pub numbers: Vec<(String, f64)>,
    /// What to do.
    pub advice: Advice,
}

impl Finding {
    /// The number called `name`.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// The finding in words, in the unit of `metric`.
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, metric: &Metric) -> fmt::Result {
        let value = |name| in_words(self.number(name).unwrap_or(f64::NAN), metric);
        let (modality, measure) = (&self.modality, &metric.name);
        match self.kind {
            FindingKind::BelowTeacher => write!(
                f,
                "the fused model ends below the {modality} teacher alone: {measure} {} against {}",
                value("fused"),
                value("teacher")
            ),
            FindingKind::Suppressed => write!(
                f,
                "{modality} is suppressed: head {measure} {} against its teacher's {}",
                value("head"),
                value("teacher")
            ),
            FindingKind::Unused => write!(
                f,
                "{modality} has learned but is not used: head {measure} {}, while a linear probe of \
                 its encoder gets {} and its teacher {}",
                value("head"),
                value("linear_probe"),
                value("teacher")
            ),
            FindingKind::Marginal => write!(
                f,
                "{modality} adds almost nothing to the fused answer: its Shapley contribution is \
                 {:.3} of {:.3}",
                self.number("shapley").unwrap_or(f64::NAN),
                self.number("shapley_total").unwrap_or(f64::NAN)
            ),
        }?;
        write!(f, "; {}", self.advice)
    }
}

fn in_words(value: f64, metric: &Metric) -> String {
    match metric.better {
        Better::HighShare => format!("{:.1} %", 100.0 * value),
        Better::High | Better::Low => format!("{value:.4}"),
    }
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prioritise { first, epochs, unless_fixed } => {
                match epochs {
                    Some(epochs) => write!(f, "try Sequential::stages([{epochs}])")?,
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
