//! The weights of the best epoch.

use crate::error::{self, Result};
use crate::parameters::{Stores, TensorCopies, Variables};

/// A copy of the parameters and buffers of the epoch with the highest score, the first of equals.
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
    /// Copies the variables of `stores`, `&vs` or several, if `score` is higher than all before, and returns whether it
    /// is. Negate a score of which lower is better.
    ///
    /// # Errors
    /// [`Error::NonFinite`](crate::Error::NonFinite) if the score is NaN, or if it is higher and a
    /// parameter or running statistics are not finite, or another buffer holds NaN;
    /// [`Error::Torch`](crate::Error::Torch) without memory for the copy.
    pub fn keep(&mut self, score: f64, stores: impl Into<Stores>) -> Result<bool> {
        let is_better = !score.is_nan() && self.score.is_none_or(|best| score > best);
        let variables = Variables::new(stores);
        if is_better {
            variables.check_finite("model of the best epoch")?;
        }
        self.keep_finite(score, &variables)
    }

    /// [`keep`](Self::keep) of variables that are known to be finite.
    pub(crate) fn keep_finite(&mut self, score: f64, variables: &Variables) -> Result<bool> {
        if score.is_nan() {
            let hint = "a score is undefined where the validation set is empty or constant, or the \
                        model's outputs are NaN: check both";
            return Err(error::non_finite("score of an epoch", "a number", "NaN", hint));
        }
        if self.score.is_some_and(|best| score <= best) {
            return Ok(false);
        }
        self.weights = TensorCopies::new(variables.all())?;
        self.score = Some(score);
        Ok(true)
    }

    /// The highest score so far.
    pub fn score(&self) -> Option<f64> {
        self.score
    }

    /// Restores the weights in the variables from which they were copied, and returns their score.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) before the first [`keep`](Self::keep).
    pub fn restore(&self) -> Result<f64> {
        let none = || {
            let hint = "call `keep` after each epoch";
            error::config("best weights", "the weights of an epoch", "none", hint)
        };
        let score = self.score.ok_or_else(none)?;
        self.weights.restore().map(|()| score)
    }
}
