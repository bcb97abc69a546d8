//! The output of a scheduler.

use serde::{Deserialize, Serialize};

use crate::error::{self, Error, Result};

/// The learning factor κ^m in [0, 1] of every modality in one step: 1 trains its encoder fully, 0 not
/// at all. Methods panic for an index `m` that is not below the number of modalities.
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
    /// A plan with these κ, in the student's order.
    ///
    /// # Errors
    /// [`Error::Config`] for a κ outside [0, 1].
    pub fn new(kappa: impl Into<Vec<f64>>) -> Result<Self> {
        let kappa = kappa.into();
        match kappa.iter().position(|k| !(0.0..=1.0).contains(k)) {
            None => Ok(Self { kappa }),
            Some(m) => {
                let (what, hint) = (format!("κ of modality {m}"), "correct the scheduler");
                Err(error::config(what, "a number in [0, 1]", kappa[m], hint))
            }
        }
    }

    /// All `k` modalities learn.
    pub fn joint(k: usize) -> Self {
        Self { kappa: vec![1.0; k] }
    }

    /// Only modality `m` of `k` learns.
    pub fn only(m: usize, k: usize) -> Self {
        let mut plan = Self::none(k);
        plan.kappa[m] = 1.0;
        plan
    }

    /// None of `k` modalities learns.
    pub(super) fn none(k: usize) -> Self {
        Self { kappa: vec![0.0; k] }
    }

    /// Sets κ of modality `m` to 0.
    pub(crate) fn stop(&mut self, m: usize) {
        self.kappa[m] = 0.0;
    }

    /// κ of every modality.
    pub fn kappa(&self) -> &[f64] {
        &self.kappa
    }

    /// Returns whether κ of modality `m` is 0.
    pub fn suppresses(&self, m: usize) -> bool {
        self.kappa[m] == 0.0
    }

    /// Returns whether κ of every modality is 1.
    pub fn is_joint(&self) -> bool {
        self.kappa.iter().all(|&k| k == 1.0)
    }
}
