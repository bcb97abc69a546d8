//! The weights of the best epoch so far.

use tch::nn::VarStore;

use crate::{
    error::{self, Result},
    parameters::TensorCopies,
};

/// A copy of the parameters and buffers with the highest score; the first of equals.
///
/// # Example
/// ```
/// use g2d::weights::BestEpoch;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _model = nn::linear(vs.root(), 4, 2, Default::default());
/// let mut best = BestEpoch::default();
/// for accuracy in [0.5, 0.75, 0.625] {
///     // … an epoch, then:
///     best.keep(accuracy, &vs)?;
/// }
/// assert_eq!(best.restore()?, 0.75);
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct BestEpoch {
    score: Option<f64>,
    weights: TensorCopies,
}

impl BestEpoch {
    /// TensorCopies the variables of `vs` if `score` is above all before; says whether it was. Negate what
    /// should be low.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::error::Error::NonFinite) for a score that is NaN,
    /// [`Error::Torch`](crate::error::Error::Torch) where there is no memory for the copy.
    pub fn keep(&mut self, score: f64, vs: &VarStore) -> Result<bool> {
        if score.is_nan() {
            let hint = "check what is validated on: an empty or constant set may have no score";
            return Err(error::non_finite("score of an epoch", "a number", "NaN", hint));
        }
        if self.score.is_some_and(|best| score <= best) {
            return Ok(false);
        }
        self.weights = TensorCopies::new(vs.variables().into_values())?;
        self.score = Some(score);
        Ok(true)
    }

    /// The highest score so far.
    pub fn score(&self) -> Option<f64> {
        self.score
    }

    /// Puts the weights back into the variables that they were copied from; returns their score.
    ///
    /// # Errors
    /// [`Error::Config`](crate::error::Error::Config) if nothing was kept.
    pub fn restore(&self) -> Result<f64> {
        let hint = "call `keep` after each epoch";
        let score = self
            .score
            .ok_or_else(|| error::config("best weights", "an epoch that was kept", "none", hint))?;
        self.weights.restore().map(|()| score)
    }
}
