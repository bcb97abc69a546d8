//! An optimizer whose gradients are measured at a recorded step.

use g2d::{
    optim::{ApplyGradients, Optimizer},
    schedule::Progress,
};
use tch::Tensor;

use super::record::STEP_INTERVAL;

/// An optimizer, and the joint norm of the gradients of its last update if the step is recorded.
pub struct Measured<'a> {
    optimizer: &'a mut Optimizer,
    is_recorded: bool,
    pub gradient_norm: Option<Tensor>,
}

impl<'a> Measured<'a> {
    /// The optimizer at the step at `at`.
    pub fn new(optimizer: &'a mut Optimizer, at: Progress) -> Self {
        let is_recorded = (at.total_steps + 1).is_multiple_of(STEP_INTERVAL);
        Self { optimizer, is_recorded, gradient_norm: None }
    }
}

impl ApplyGradients for Measured<'_> {
    fn apply_gradients(&mut self) -> g2d::Result<()> {
        if self.is_recorded {
            self.gradient_norm = self.optimizer.clip_grad_norm(f64::INFINITY)?;
        }
        self.optimizer.apply_gradients()
    }

    fn clear_gradients(&mut self) -> g2d::Result<()> {
        self.optimizer.clear_gradients()
    }

    fn restart(&mut self) -> g2d::Result<()> {
        self.optimizer.restart()
    }

    fn set_lr_factor(&mut self, factor: f64) -> g2d::Result<()> {
        self.optimizer.set_lr_factor(factor)
    }
}
