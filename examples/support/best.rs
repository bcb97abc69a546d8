//! The weights of the best epoch so far.

use anyhow::{Context, Result};
use tch::{Tensor, nn::VarStore};

/// Keeps a copy of the weights with the highest score; the first of equals.
#[derive(Default)]
pub struct Best {
    score: Option<f64>,
    weights: Vec<(String, Tensor)>,
}

impl Best {
    pub fn keep(&mut self, score: f64, vs: &VarStore) {
        if self.score.is_none_or(|best| score > best) {
            self.score = Some(score);
            let copied = |(name, tensor): (String, Tensor)| (name, tensor.detach().copy());
            self.weights = vs.variables().into_iter().map(copied).collect();
        }
    }

    /// Puts the weights back; returns their score.
    pub fn restore(&self, vs: &mut VarStore) -> Result<f64> {
        let _no_grad = tch::no_grad_guard();
        let mut variables = vs.variables();
        for (name, weights) in &self.weights {
            variables.get_mut(name).with_context(|| format!("{name} is gone"))?.f_copy_(weights)?;
        }
        self.score.context("no epoch was trained")
    }
}
