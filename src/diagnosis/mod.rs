//! From numbers to what to do about them.
//!
//! - `evidence.rs`: what is known of a run; the caller fills it.
//! - `thresholds.rs`: where a difference begins to matter.
//! - `finding.rs`: a finding, its numbers and its advice, in words.
//! - `rules.rs`: which evidence makes which finding.

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

/// What is out of balance in a run, and what to do: nothing at all where nothing is.
///
/// `Display` writes a sentence or two for each finding, a line each.
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
///     "video is suppressed: head accuracy 27.4 % against its teacher's 76.5 %; try \
///      Sequential::new([150]) with video first",
/// ));
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Diagnosis {
    /// The metric that the findings speak of.
    pub metric: Metric,
    /// What was found, the gravest first; empty without imbalance.
    pub findings: Vec<Finding>,
}

impl Diagnosis {
    /// Judges `evidence`; what it does not hold is not judged.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if a vector of the evidence is neither empty nor has a
    /// value a modality, or if a threshold is out of range;
    /// [`Error::NonFinite`](crate::error::Error::NonFinite) for a number that is not finite.
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
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}; {}", finding.in_words(&self.metric), finding.advice)?;
        }
        Ok(())
    }
}
