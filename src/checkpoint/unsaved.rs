//! The best weights of a run whose snapshot could not be written.

use tch::nn::VarStore;

use crate::error::Result;
use crate::parameters::{TensorCopies, Variables};

/// Copies of weights in memory, with their score.
#[derive(Debug)]
pub(super) struct Unsaved {
    pub score: f64,
    /// The number of finished epochs.
    pub epoch: u64,
    weights: TensorCopies,
}

impl Unsaved {
    /// Copies the variables of `weights`, which must be finite.
    pub(super) fn new(score: f64, epoch: u64, weights: &[(String, VarStore)]) -> Result<Self> {
        for (name, vs) in weights {
            Variables::new(vs).check_finite(&format!("weights {name:?} of the best epoch"))?;
        }
        let tensors = weights.iter().flat_map(|(_, vs)| vs.variables().into_values());
        Ok(Self { score, epoch, weights: TensorCopies::new(tensors)? })
    }

    /// Restores the weights in the variables from which they were copied.
    pub(super) fn restore(&self) -> Result<f64> {
        self.weights.restore().map(|()| self.score)
    }
}
