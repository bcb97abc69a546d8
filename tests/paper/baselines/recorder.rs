//! An optimizer that records gradients.

use g2d::{Result, optim::ApplyGradients};
use tch::nn::VarStore;

use crate::support::{Snapshot, gradients};

/// θ ← θ − lr · g, with a copy of the gradients of every update.
pub struct Recorder<'a> {
    vs: &'a VarStore,
    lr: f64,
    pub updates: Vec<Snapshot>,
    /// The calls of `restart` and the factors of `set_lr_factor`, with the number of updates before.
    pub restarts: Vec<usize>,
    pub factors: Vec<(usize, f64)>,
}

impl<'a> Recorder<'a> {
    pub fn new(vs: &'a VarStore, lr: f64) -> Self {
        Self { vs, lr, updates: Vec::new(), restarts: Vec::new(), factors: Vec::new() }
    }
}

impl ApplyGradients for Recorder<'_> {
    fn apply_gradients(&mut self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        let gradients = gradients(self.vs);
        for (name, mut variable) in self.vs.variables() {
            if let Some(gradient) = gradients.get(&name) {
                let _ = variable.f_sub_(&(gradient * self.lr))?;
            }
        }
        self.updates.push(gradients);
        Ok(())
    }

    fn clear_gradients(&mut self) -> Result<()> {
        self.vs.trainable_variables().iter_mut().for_each(tch::Tensor::zero_grad);
        Ok(())
    }

    fn restart(&mut self) -> Result<()> {
        self.restarts.push(self.updates.len());
        Ok(())
    }

    fn set_lr_factor(&mut self, factor: f64) -> Result<()> {
        self.factors.push((self.updates.len(), factor));
        Ok(())
    }
}
