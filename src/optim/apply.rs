//! What a trainer needs of an optimizer.

use tch::nn;

use super::optimizer::Optimizer;
use crate::error::Result;

/// An optimizer that [`G2dTrainer::update`](crate::G2dTrainer::update) can drive.
///
/// It is implemented by [`Optimizer`] and by tch's `nn::Optimizer`, and two lines implement it for
/// any other.
pub trait ApplyGradients {
    /// Updates the parameters by their gradients, once.
    ///
    /// # Errors
    /// An error of the optimizer.
    fn apply_gradients(&mut self) -> Result<()>;

    /// Makes the gradients of all parameters undefined or zero, for the next step.
    ///
    /// # Errors
    /// An error of the optimizer.
    fn clear_gradients(&mut self) -> Result<()>;
}

impl ApplyGradients for Optimizer {
    fn apply_gradients(&mut self) -> Result<()> {
        self.step()
    }

    fn clear_gradients(&mut self) -> Result<()> {
        self.zero_grad()
    }
}

impl ApplyGradients for nn::Optimizer {
    fn apply_gradients(&mut self) -> Result<()> {
        self.step();
        Ok(())
    }

    fn clear_gradients(&mut self) -> Result<()> {
        self.zero_grad();
        Ok(())
    }
}
