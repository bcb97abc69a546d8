//! A finding, its numbers and its advice.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::evidence::{Better, Metric};
use crate::modality::Modality;

/// The kind of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The fused model is worse than the best teacher.
    BelowTeacher,
    /// The fused model is worse than something that there is without it: an ensemble of the teachers, or
    /// another model.
    BelowAlternative,
    /// The jointly trained model is better than the best teacher: SMP as published is likely to cost more
    /// than it gains.
    AboveTeachers,
    /// ρ on training batches makes SMP train a modality first that is worse on validation data than
    /// another.
    OrderContradicted,
    /// The unimodal head of a modality is far below its teacher, and further than other heads.
    Suppressed,
    /// As `Suppressed`, but a linear probe shows that the encoder has learned: the fusion does not use
    /// its features.
    Unused,
    /// The modality hardly contributes to the fused predictions, and has no teacher to compare with.
    Marginal,
}

/// What to do about a finding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// Train the encoder of this modality alone first.
    Prioritise {
        /// The modality.
        first: Modality,
        /// Number of epochs of its stage, if the length of the run is known.
        epochs: Option<u64>,
        /// The modality that ranking by ρ would train first, if it is another one.
        unless_fixed: Option<Modality>,
    },
    /// Extend the stage in which the modality is trained alone.
    LengthenStage {
        /// The modality.
        first: Modality,
        /// Number of epochs of the extended stage.
        epochs: u64,
    },
    /// Keep training jointly: the fused model is better than the best teacher.
    KeepJoint,
    /// Keep the schedule: the fused model is better than the best teacher.
    KeepSchedule,
    /// Distil from the teachers.
    Distil,
    /// Balanced training: every teacher teaches the student's head of its modality.
    Balance,
    /// Use what is better on validation data, or balanced training if classes are predicted.
    Prefer {
        /// The name of the alternative.
        alternative: String,
        /// Whether classes are predicted.
        classes: bool,
    },
    /// Rank by confidence on held-out data.
    RankByHeldOut {
        /// The modality that is trained first then.
        first: Modality,
    },
    /// Change the fusion instead of the schedule.
    ReviseFusion,
    /// Train a unimodal teacher to learn whether the modality is suppressed or uninformative.
    TrainTeacher,
}

/// One sign of imbalance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The kind.
    pub kind: FindingKind,
    /// The modality. That of the best teacher for [`FindingKind::BelowTeacher`],
    /// [`FindingKind::BelowAlternative`] and [`FindingKind::AboveTeachers`]; the one that ρ ranks first for
    /// [`FindingKind::OrderContradicted`].
    pub modality: Modality,
    /// The numbers that support the finding, as far as they are known: `head`, `teacher`, `best_teacher`,
    /// `alternative`, `fused`,
    /// `linear_probe`, `untrained` (the linear probe before training), `kept` (gain of the head over
    /// chance divided by the teacher's), `best_kept` (largest `kept` of any modality), `shapley`,
    /// `shapley_total`, `confidence`, `gradient_norm`.
    pub numbers: Vec<(String, f64)>,
    /// What to do.
    pub advice: Advice,
}

impl Finding {
    /// Returns the number called `name`.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.numbers.iter().find(|(own, _)| own == name).map(|(_, value)| *value)
    }

    /// Returns a label and the formatted value of each number, in the unit of `metric`.
    pub fn labelled_numbers(&self, metric: &Metric) -> Vec<(String, String)> {
        let labelled = |(name, value): &(String, f64)| {
            let (label, value) = match name.as_str() {
                "head" | "teacher" => (name.as_str(), formatted(*value, metric)),
                "best_teacher" => ("best teacher", formatted(*value, metric)),
                "alternative" => ("what there is without it", formatted(*value, metric)),
                "fused" => ("fused model", formatted(*value, metric)),
                "linear_probe" => ("linear probe of the encoder", formatted(*value, metric)),
                "untrained" => ("linear probe before training", formatted(*value, metric)),
                "kept" => ("gain of the head relative to its teacher", percentage(*value)),
                "best_kept" => ("largest such gain of a modality", percentage(*value)),
                "shapley" => ("Shapley contribution", format!("{value:.3}")),
                "shapley_total" => ("sum of all Shapley contributions", format!("{value:.3}")),
                "confidence" => ("ρ of its teacher", format!("{value:.3}")),
                "gradient_norm" => ("gradient norm", format!("{value:.3}")),
                other => (other, format!("{value:.4}")),
            };
            (label.to_owned(), value)
        };
        self.numbers.iter().map(labelled).collect()
    }

    /// Returns the finding as a sentence, without its advice, in the unit of `metric`.
    pub fn describe(&self, metric: &Metric) -> String {
        let number = |name| self.number(name).unwrap_or(f64::NAN);
        let value = |name| formatted(number(name), metric);
        let (modality, measure) = (&self.modality, &metric.name);
        match self.kind {
            FindingKind::BelowTeacher => format!(
                "The fused model is worse than the {modality} teacher alone: its {measure} is {}, \
                 that of the teacher {}.",
                value("fused"),
                value("teacher")
            ),
            FindingKind::BelowAlternative => {
                let alternative = match &self.advice {
                    Advice::Prefer { alternative, .. } => alternative,
                    _ => "what there is without it",
                };
                format!(
                    "The fused model is worse than {alternative}: its {measure} is {}, that of \
                     {alternative} {}.",
                    value("fused"),
                    value("alternative")
                )
            }
            FindingKind::AboveTeachers => format!(
                "The jointly trained model is better than the best teacher, {modality}: its {measure} \
                 is {}, that of the teacher {}.",
                value("fused"),
                value("teacher")
            ),
            FindingKind::OrderContradicted => format!(
                "By ρ on training batches SMP trains {modality} first, whose teacher has the {measure} \
                 {} on validation data; the best teacher has {}.",
                value("teacher"),
                value("best_teacher")
            ),
            FindingKind::Suppressed => format!(
                "The {modality} encoder is suppressed: the {measure} of its head is {}, that of its \
                 teacher {}.",
                value("head"),
                value("teacher")
            ),
            FindingKind::Unused => format!(
                "The {modality} encoder has learned, but the fusion does not use its features: the \
                 {measure} of its head is {}, that of a linear probe {} and that of its teacher {}.",
                value("head"),
                value("linear_probe"),
                value("teacher")
            ),
            FindingKind::Marginal => format!(
                "The {modality} modality hardly contributes to the fused predictions: its Shapley \
                 contribution is {:.3} of {:.3}.",
                number("shapley"),
                number("shapley_total")
            ),
        }
    }
}

fn formatted(value: f64, metric: &Metric) -> String {
    match metric.better {
        Better::HighShare => percentage(value),
        Better::High | Better::Low => format!("{value:.4}"),
    }
}

fn percentage(value: f64) -> String {
    format!("{:.1} %", 100.0 * value)
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prioritise { first, epochs, unless_fixed } => {
                write!(f, "Train {first} first: use Sequential")?;
                match epochs {
                    Some(epochs) => write!(f, "::new([{epochs}])")?,
                    None => write!(f, " with a first stage of half of the epochs")?,
                }
                match unless_fixed {
                    Some(other) => write!(f, " and Ranking::Fixed, since ρ ranks {other} first."),
                    None => f.write_str("."),
                }
            }
            Self::LengthenStage { first, epochs } => {
                write!(f, "Extend the stage in which only {first} is trained to {epochs} epochs.")
            }
            Self::KeepJoint => f.write_str(
                "Keep training jointly: the fused model is already better than the best teacher, so \
                 SMP is unlikely to help.",
            ),
            Self::KeepSchedule => f.write_str(
                "Keep the schedule: it trained other modalities first, and the fused model is better \
                 than the best teacher.",
            ),
            Self::Distil => f.write_str(
                "Train with L_G2D: pass the teachers to the trainer, and set α and β above 0.",
            ),
            Self::Balance => f.write_str(
                "Use balanced training: Distillation::balanced() and the fusion weights of a Calibration.",
            ),
            Self::Prefer { alternative, classes } => {
                write!(f, "Use {alternative}")?;
                let balanced = ", or balanced training: Distillation::balanced() and the fusion weights \
                                of a Calibration.";
                f.write_str(if *classes { balanced } else { ", which validation data prefer." })
            }
            Self::RankByHeldOut { first } => {
                write!(f, "Rank with Ranking::HeldOut, by which {first} is trained first.")
            }
            Self::ReviseFusion => f.write_str(
                "Change the fusion, or raise β so that the fused logits follow its teacher; a schedule \
                 does not help an encoder that has learned.",
            ),
            Self::TrainTeacher => f.write_str(
                "Train a unimodal teacher for it, to learn whether it is suppressed or uninformative.",
            ),
        }
    }
}
