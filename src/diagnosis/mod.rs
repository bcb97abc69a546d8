//! Diagnosis of modality imbalance: from metrics of a run to findings and advice.
//!
//! [`Diagnosis::from_evidence`] applies the rules of `rules.rs` to [`Evidence`] under [`Thresholds`], and
//! returns [`Finding`]s, each with an [`Advice`]. [`Run::diagnose`](crate::record::Run::diagnose) takes the
//! evidence from what a run has recorded.

mod evidence;
mod finding;
mod rules;
mod thresholds;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use evidence::{Better, Evidence, Metric};
pub use finding::{Advice, Finding, FindingKind};
pub use thresholds::Thresholds;

use crate::error::Result;

/// The findings about a run.
///
/// `Display` writes a line for each finding: its description and its advice.
///
/// # Example
/// ```
/// use g2d::{Modality, diagnosis::{Diagnosis, Evidence, Metric, Thresholds}};
///
/// let mut evidence = Evidence::new(Metric::accuracy(6), &Modality::list(["audio", "video"]));
/// evidence.fused = Some(0.6747);
/// evidence.teachers = vec![Some(0.6169), Some(0.7648)];
/// evidence.heads = vec![Some(0.5710), Some(0.2742)];
/// evidence.epochs = Some(300);
/// let diagnosis = Diagnosis::from_evidence(&evidence, &Thresholds::default())?;
/// assert!(diagnosis.to_string().starts_with(
///     "The video encoder is suppressed: the accuracy of its head is 27.4 %, that of its teacher \
///      76.5 %. Train video first: use Sequential::new([150]).",
/// ));
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// The metric of the findings.
    pub metric: Metric,
    /// The findings, the most severe first; empty for a balanced run.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Derives findings from `evidence`. A rule whose evidence is missing does not apply.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if a vector of the evidence is neither empty nor has one
    /// value per modality, or if a threshold is outside its range;
    /// [`Error::NonFinite`](crate::Error::NonFinite) for a value that is not finite.
    pub fn from_evidence(evidence: &Evidence, thresholds: &Thresholds) -> Result<Self> {
        evidence.check()?;
        thresholds.check()?;
        let findings = rules::findings(evidence, thresholds);
        Ok(Self { metric: evidence.metric.clone(), findings })
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.findings.iter().enumerate() {
            let line_break = if i > 0 { "\n" } else { "" };
            write!(f, "{line_break}{} {}", finding.describe(&self.metric), finding.advice)?;
        }
        Ok(())
    }
}
