//! An optimizer that records the gradients that it gets.

use g2d::{
    error,
    optim::{ApplyGradients, Optimizer},
};
use serde_json::Value;

use super::network::Network;

/// An optimizer of a network, and the gradient norms at each of its updates.
pub struct Recorder<'a> {
    optimizer: Optimizer,
    network: &'a Network,
    /// What `observe` returned, once for each update.
    pub updates: Vec<Value>,
    observe: fn(&Network) -> anyhow::Result<Value>,
}

impl<'a> Recorder<'a> {
    pub fn new(optimizer: Optimizer, network: &'a Network) -> Self {
        Self { optimizer, network, updates: Vec::new(), observe: Network::gradient_norms }
    }

    /// Records what `observe` returns in place of the gradient norms.
    pub fn observing(mut self, observe: fn(&Network) -> anyhow::Result<Value>) -> Self {
        self.observe = observe;
        self
    }

    /// The record of the last update.
    pub fn last(&self) -> Value {
        self.updates.last().cloned().unwrap_or_default()
    }
}

impl ApplyGradients for Recorder<'_> {
    fn apply_gradients(&mut self) -> g2d::Result<()> {
        let observed = (self.observe)(self.network)
            .map_err(|e| error::config("recorded gradients", "readable ones", e, "report this"))?;
        self.updates.push(observed);
        self.optimizer.apply_gradients()
    }

    fn clear_gradients(&mut self) -> g2d::Result<()> {
        self.optimizer.clear_gradients()
    }

    fn restart(&mut self) -> g2d::Result<()> {
        self.optimizer.restart()
    }

    fn set_lr_factor(&mut self, factor: f64) -> g2d::Result<()> {
        ApplyGradients::set_lr_factor(&mut self.optimizer, factor)
    }
}
