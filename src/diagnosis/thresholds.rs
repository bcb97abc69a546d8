//! Where a difference begins to matter.

use serde::{Deserialize, Serialize};

use crate::error::{self, Result};

/// The limits that the rules compare with. All are shares of what a teacher knows beyond chance, but
/// for `contribution`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    /// A head that keeps less than this share of what its teacher knows may be suppressed. 0.6.
    pub kept: f64,
    /// … if it keeps this much less than the best kept modality: a head's slice is everywhere a
    /// little below its teacher. 0.2.
    pub spread: f64,
    /// A teacher that knows less than this share of what the best one knows has nothing to lose:
    /// its modality is poor, not suppressed. 0.1.
    pub worthwhile: f64,
    /// By how much of what the best teacher knows the fused model must differ from it to be called
    /// better or worse: below, it is noise. 0.02.
    pub margin: f64,
    /// A linear probe that has come this far from the untrained encoder's to its teacher shows an
    /// encoder that has learned. 0.8.
    pub learned: f64,
    /// Without a teacher to compare with: a modality whose Shapley contribution is below this share of
    /// an equal one, (v(all) − v(∅)) / k, contributes almost nothing. 0.2.
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
            Some((name, value)) => Err(error::config(
                format!("threshold {name:?}"),
                "a share in [0, 1]",
                value.to_string(),
                "change it, or take the default",
            )),
        }
    }
}
