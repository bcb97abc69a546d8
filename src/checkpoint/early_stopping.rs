//! Early stopping of a training loop.

use tch::nn::VarStore;

use crate::error::{self, Result};
use crate::weights::BestEpoch;

/// Stops a training loop after a number of epochs without a better score, and holds the weights of the
/// epoch with the highest score, the first of equals.
///
/// On a small validation set many epochs have the same accuracy: score with
/// [`metrics::selection_score`](crate::metrics::selection_score), by which the lower NLL is better then.
/// A run with snapshots needs this type not: [`Builder::patience`](super::Builder::patience) counts the
/// epochs, also across a crash, and the best snapshot holds the weights.
///
/// # Example
/// ```
/// use g2d::checkpoint::EarlyStopping;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _model = nn::linear(vs.root(), 4, 2, Default::default());
/// let mut stopping = EarlyStopping::new(2);
/// let mut trained = 0;
/// for score in [0.5, 0.75, 0.625, 0.75, 0.875] {
///     trained += 1; // an epoch, then its score on validation data:
///     if stopping.should_stop(score, &vs)? {
///         break;
///     }
/// }
/// assert_eq!(trained, 4);
/// assert_eq!(stopping.restore()?, 0.75); // the weights of the second epoch
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug)]
pub struct EarlyStopping {
    patience: u64,
    since_best: u64,
    best: BestEpoch,
}

impl EarlyStopping {
    /// Stops after `patience` epochs in a row without a better score, at least 1.
    pub fn new(patience: u64) -> Self {
        Self { patience, since_best: 0, best: BestEpoch::default() }
    }

    /// Counts an epoch, copies the variables of `vs` if its `score` is higher than all before, and returns
    /// whether to end the training. Negate a score of which lower is better.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a patience of 0; any error of [`BestEpoch::keep`].
    pub fn should_stop(&mut self, score: f64, vs: &VarStore) -> Result<bool> {
        if self.patience == 0 {
            return Err(error::out_of_range("patience of early stopping", "at least 1", 0));
        }
        self.since_best = if self.best.keep(score, vs)? { 0 } else { self.since_best + 1 };
        Ok(self.since_best >= self.patience)
    }

    /// The highest score so far.
    pub fn score(&self) -> Option<f64> {
        self.best.score()
    }

    /// The number of epochs since the one with the highest score.
    pub fn since_best(&self) -> u64 {
        self.since_best
    }

    /// Restores the weights of the epoch with the highest score, and returns that score.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) before the first epoch.
    pub fn restore(&self) -> Result<f64> {
        self.best.restore()
    }
}
