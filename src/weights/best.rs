//! The weights of the best epoch so far.

use tch::{Tensor, nn::VarStore};

use crate::{Error, Result, error};

/// A copy of the parameters and buffers with the highest score; the first of equals.
///
/// # Example
/// ```
/// use g2d::weights::BestWeights;
/// use tch::{Device, nn};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let _model = nn::linear(vs.root(), 4, 2, Default::default());
/// let mut best = BestWeights::default();
/// for accuracy in [0.5, 0.75, 0.625] {
///     // … an epoch, then:
///     best.keep(accuracy, &vs)?;
/// }
/// assert_eq!(best.restore(&vs)?, 0.75);
/// # Ok::<(), g2d::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct BestWeights {
    score: Option<f64>,
    weights: Vec<(String, Tensor)>,
}

impl BestWeights {
    /// Copies the variables of `vs` if `score` is above all before; says whether it was. Negate what
    /// should be low.
    ///
    /// # Errors
    /// [`Error::NonFinite`] for a score that is NaN, [`Error::Torch`] where there is no memory for
    /// the copy.
    pub fn keep(&mut self, score: f64, vs: &VarStore) -> Result<bool> {
        if score.is_nan() {
            let mend = "check what is validated on: an empty or constant set may have no score";
            return Err(error::non_finite("score of an epoch", "a number", "NaN", mend));
        }
        if self.score.is_some_and(|best| score <= best) {
            return Ok(false);
        }
        let copied = |(name, tensor): (String, Tensor)| {
            let mut copy = tensor.f_detach()?.f_empty_like()?;
            copy.f_copy_(&tensor.detach())?;
            Ok((name, copy))
        };
        let _no_grad = tch::no_grad_guard();
        let copies = vs.variables().into_iter().map(copied).collect::<std::result::Result<_, _>>();
        self.weights = copies.map_err(|e| Error::torch("copy the best weights", e))?;
        self.score = Some(score);
        Ok(true)
    }

    /// The highest score so far.
    pub fn score(&self) -> Option<f64> {
        self.score
    }

    /// Puts the weights back into `vs`; returns their score.
    ///
    /// # Errors
    /// [`Error::Config`] if nothing was kept, or a variable is gone.
    pub fn restore(&self, vs: &VarStore) -> Result<f64> {
        let refused = |expected: &str, found: String| {
            let mend = "restore into the VarStore that `keep` was given";
            error::config("best weights", expected, found, mend)
        };
        let score = self.score.ok_or_else(|| refused("an epoch that was kept", "none".into()))?;
        let mut variables = vs.variables();
        if let Some((name, _)) = self.weights.iter().find(|(name, _)| !variables.contains_key(name))
        {
            return Err(refused(&format!("the variable {name:?}"), "none of this name".into()));
        }
        let _no_grad = tch::no_grad_guard();
        for (name, weights) in &self.weights {
            if let Some(live) = variables.get_mut(name) {
                live.f_copy_(weights).map_err(|e| Error::torch("restore the best weights", e))?;
            }
        }
        Ok(score)
    }
}
