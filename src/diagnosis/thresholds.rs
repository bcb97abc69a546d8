//! Limits of the rules.

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// Limits of the rules, each in [0, 1]. A gain is the improvement of a metric over its chance level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// A modality may be suppressed if the gain of its head is less than this share of its teacher's.
    /// Default 0.6.
    pub kept: f64,
    /// A modality is suppressed only if its share is this much lower than the best modality's, since
    /// every head is a little worse than its teacher. Default 0.2.
    pub spread: f64,
    /// A modality is uninformative, not suppressed, if the gain of its teacher is less than this share
    /// of the best teacher's. Default 0.1.
    pub worthwhile: f64,
    /// The fused model counts as better or worse than the best teacher if their gains differ by this
    /// share of the teacher's. Default 0.02.
    pub margin: f64,
    /// An encoder has learned if its linear probe covers this share of the distance from the probe of
    /// the untrained encoder to its teacher. Default 0.8.
    pub learned: f64,
    /// A modality without a teacher contributes almost nothing if its Shapley contribution is less than
    /// this share of (v(all) − v(∅)) / k. Default 0.2.
    pub contribution: f64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            kept: 0.6,
            spread: 0.2,
            worthwhile: 0.1,
            margin: 0.02,
            learned: 0.8,
            contribution: 0.2,
        }
    }
}

impl Thresholds {
    pub(super) fn check(&self) -> Result<()> {
        let all = [
            ("kept", self.kept),
            ("spread", self.spread),
            ("worthwhile", self.worthwhile),
            ("margin", self.margin),
            ("learned", self.learned),
            ("contribution", self.contribution),
        ];
        match all.iter().find(|(_, value)| !(0.0..=1.0).contains(value)) {
            None => Ok(()),
            Some((name, value)) => {
                let what = format!("threshold {name:?}");
                Err(error::out_of_range(what, "a share in [0, 1]", value))
            }
        }
    }
}
