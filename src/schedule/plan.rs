//! κ, the outcome of a schedule.

use serde::{Deserialize, Serialize};

use crate::error::{self, Error, Result};

/// One κ^m in [0, 1] for each modality: 1 learns fully, 0 not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct Plan {
    kappa: Vec<f64>,
}

impl TryFrom<Vec<f64>> for Plan {
    type Error = Error;

    fn try_from(kappa: Vec<f64>) -> Result<Self> {
        Self::new(kappa)
    }
}

impl From<Plan> for Vec<f64> {
    fn from(plan: Plan) -> Self {
        plan.kappa
    }
}

impl Plan {
    /// A plan of these κ, in the student's order.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) for a κ that is not in [0, 1].
    pub fn new(kappa: impl Into<Vec<f64>>) -> Result<Self> {
        let kappa = kappa.into();
        match kappa.iter().position(|k| !(0.0..=1.0).contains(k)) {
            None => Ok(Self { kappa }),
            Some(m) => Err(error::config(
                format!("κ of modality {m}"),
                "a number in [0, 1]",
                format!("{}", kappa[m]),
                "fix the scheduler that made the plan",
            )),
        }
    }

    /// All `k` modalities learn.
    pub fn joint(k: usize) -> Self {
        Self { kappa: vec![1.0; k] }
    }

    /// Of `k` modalities only `m` learns.
    ///
    /// # Panics
    /// If `m` is not below `k`.
    pub fn only(m: usize, k: usize) -> Self {
        let mut kappa = vec![0.0; k];
        kappa[m] = 1.0;
        Self { kappa }
    }

    /// Of `k` modalities only `m` learns, or none.
    pub(super) fn at_most(m: Option<usize>, k: usize) -> Self {
        m.map_or_else(|| Self { kappa: vec![0.0; k] }, |m| Self::only(m, k))
    }

    /// The same plan, but modality `m` stands still.
    pub(crate) fn stop(&mut self, m: usize) {
        self.kappa[m] = 0.0;
    }

    /// κ of every modality.
    pub fn kappa(&self) -> &[f64] {
        &self.kappa
    }

    /// Does modality `m` stand still?
    ///
    /// # Panics
    /// If `m` is not below the number of modalities.
    pub fn suppresses(&self, m: usize) -> bool {
        self.kappa[m] == 0.0
    }

    /// Do all learn fully?
    pub fn is_joint(&self) -> bool {
        self.kappa.iter().all(|&k| k == 1.0)
    }
}
