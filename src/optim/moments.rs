//! What a rule remembers of one parameter.

use tch::{Device, Kind, TchError, Tensor};

use super::Algorithm;
use crate::error::{Error, Result};

/// A parameter, and what its rule remembers of it.
#[derive(Debug)]
pub(super) struct Parameter {
    pub name: String,
    pub tensor: Tensor,
    /// By slot; empty until the parameter's first step.
    pub moments: Vec<Tensor>,
}

impl Parameter {
    pub fn new(name: String, tensor: Tensor) -> Self {
        Self { name, tensor, moments: Vec::new() }
    }

    /// Does this step move it? A frozen parameter stays, even if an old gradient is left.
    pub fn moves(&self) -> bool {
        self.tensor.requires_grad() && self.tensor.grad().defined()
    }

    /// Makes what the rule will remember: zeros, and 0 steps.
    pub fn begin(&mut self, rule: &Algorithm) -> Result<()> {
        let made = slots(rule).iter().map(|slot| self.zeros(slot));
        let made = made.collect::<std::result::Result<_, _>>();
        self.moments = made.map_err(|e| Error::torch("make an optimizer's moments", e))?;
        Ok(())
    }

    /// What was read for slot `slot`, on the parameter's device and laid out as the parameter is: the
    /// kernels walk over both as flat memory.
    pub fn own(&self, slot: &str, read: &Tensor) -> std::result::Result<Tensor, TchError> {
        let mut own = self.zeros(slot)?;
        own.f_copy_(read)?;
        Ok(own)
    }

    fn zeros(&self, slot: &str) -> std::result::Result<Tensor, TchError> {
        match slot {
            STEP => Tensor::f_zeros([], (Kind::Float, self.device())),
            _ => self.tensor.f_detach()?.f_zeros_like(),
        }
    }

    /// The shape and kind of slot `slot`.
    pub fn form(&self, slot: &str) -> (Vec<i64>, Kind) {
        if slot == STEP { (vec![], Kind::Float) } else { (self.tensor.size(), self.tensor.kind()) }
    }

    pub fn device(&self) -> Device {
        self.tensor.device()
    }
}

/// How often a parameter was stepped.
pub(super) const STEP: &str = "step";

/// The names of what a rule remembers of each parameter; PyTorch's.
pub(super) fn slots(rule: &Algorithm) -> &'static [&'static str] {
    match rule {
        Algorithm::Sgd(sgd) if sgd.momentum == 0.0 => &[],
        Algorithm::Sgd(_) => &["momentum_buffer"],
        Algorithm::Adam(super::AdamConfig { amsgrad: false, .. })
        | Algorithm::AdamW(super::AdamWConfig { amsgrad: false, .. }) => {
            &["exp_avg", "exp_avg_sq", STEP]
        }
        Algorithm::Adam(_) | Algorithm::AdamW(_) => {
            &["exp_avg", "exp_avg_sq", STEP, "max_exp_avg_sq"]
        }
    }
}
