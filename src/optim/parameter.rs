//! A parameter with its optimizer state.

use tch::{Kind, TchError, Tensor};

/// The state tensor that counts a parameter's steps.
pub(super) const STEP: &str = "step";

/// A parameter, and the tensors that the optimizer keeps for it, such as its momentum.
#[derive(Debug)]
pub(super) struct Parameter {
    name: String,
    tensor: Tensor,
    /// In the order of the algorithm's `state_names`; empty before the first step.
    state: Vec<Tensor>,
}

impl Parameter {
    pub(super) fn new(name: String, tensor: Tensor) -> Self {
        Self { name, tensor, state: Vec::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// The state; empty before the first step.
    pub(super) fn state(&self) -> &[Tensor] {
        &self.state
    }

    pub(super) fn set_state(&mut self, state: Vec<Tensor>) {
        self.state = state;
    }

    /// Returns whether a step updates the parameter. A frozen one may still have an old gradient.
    pub(super) fn is_updated(&self) -> bool {
        self.tensor.requires_grad() && self.tensor.grad().defined()
    }

    /// The initial state tensor `name`: zeros on the parameter's device, in its memory layout, which
    /// the fused kernels require.
    pub(super) fn zeros(&self, name: &str) -> Result<Tensor, TchError> {
        match name {
            STEP => Tensor::f_zeros([], (Kind::Float, self.tensor.device())),
            _ => self.tensor.f_detach()?.f_zeros_like(),
        }
    }

    /// The shape and dtype of the state tensor `name`.
    pub(super) fn form(&self, name: &str) -> (Vec<i64>, Kind) {
        match name {
            STEP => (vec![], Kind::Float),
            _ => (self.tensor.size(), self.tensor.kind()),
        }
    }
}
