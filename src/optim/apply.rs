//! What a trainer needs of an optimizer.

use tch::nn;

use super::optimizer::Optimizer;
use crate::error::{self, Result};

/// An optimizer that [`G2dTrainer::update`](crate::G2dTrainer::update) and every
/// [`Algorithm`](crate::algorithm::Algorithm) can drive.
///
/// It is implemented by [`Optimizer`] and by tch's `nn::Optimizer`, and two lines implement it for
/// any other. The methods with a default are for algorithms that train in phases.
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

    /// Discards momentum and moments, as if the optimizer were new.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) by default, for an optimizer that cannot.
    fn restart(&mut self) -> Result<()> {
        Err(unsupported("restarts with new momentum"))
    }

    /// Sets the factor by which all learning rates are multiplied.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) by default, for an optimizer that cannot, and for a
    /// factor that is not finite or negative.
    fn set_lr_factor(&mut self, factor: f64) -> Result<()> {
        let _ = factor;
        Err(unsupported("has a learning rate factor"))
    }
}

fn unsupported(what: &str) -> error::Error {
    let expected = format!("an optimizer that {what}");
    error::config("optimizer", expected, "another one", "use `g2d::optim::Optimizer`")
}

impl<T: ApplyGradients + ?Sized> ApplyGradients for &mut T {
    fn apply_gradients(&mut self) -> Result<()> {
        (**self).apply_gradients()
    }

    fn clear_gradients(&mut self) -> Result<()> {
        (**self).clear_gradients()
    }

    fn restart(&mut self) -> Result<()> {
        (**self).restart()
    }

    fn set_lr_factor(&mut self, factor: f64) -> Result<()> {
        (**self).set_lr_factor(factor)
    }
}

impl ApplyGradients for Optimizer {
    fn apply_gradients(&mut self) -> Result<()> {
        self.step()
    }

    fn clear_gradients(&mut self) -> Result<()> {
        self.zero_grad()
    }

    fn restart(&mut self) -> Result<()> {
        self.discard_state();
        Ok(())
    }

    fn set_lr_factor(&mut self, factor: f64) -> Result<()> {
        Self::set_lr_factor(self, factor)
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
