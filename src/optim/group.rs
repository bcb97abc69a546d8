//! A group of parameters with the same hyper-parameters.

use tch::{TchError, Tensor};

use super::{AdamConfig, AdamWConfig, Algorithm, SgdConfig, parameter::Parameter};
use crate::error::{Error, Result};
use crate::libtorch::{self, AdamArgs, AdamMoments, SgdArgs};

/// Parameters that are updated with the same hyper-parameters.
#[derive(Debug)]
pub(super) struct Group {
    path: String,
    algorithm: Algorithm,
    parameters: Vec<Parameter>,
}

impl Group {
    /// A group without parameters.
    pub(super) fn new(path: String, algorithm: Algorithm) -> Self {
        Self { path, algorithm, parameters: Vec::new() }
    }

    pub(super) fn add(&mut self, parameter: Parameter) {
        self.parameters.push(parameter);
    }

    /// The path of the group's parameters; empty for the parameters of no other group.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    pub(super) fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    pub(super) fn parameters_mut(&mut self) -> &mut [Parameter] {
        &mut self.parameters
    }

    /// Updates the parameters, with the learning rate multiplied by `lr_factor`.
    pub(super) fn step(&mut self, lr_factor: f64) -> Result<()> {
        let state_names = self.algorithm.state_names();
        let (mut first, mut later) = (Vec::new(), Vec::new());
        for parameter in self.parameters.iter_mut().filter(|parameter| parameter.is_updated()) {
            if parameter.state().len() < state_names.len() {
                initialise(parameter, state_names)?;
                first.push(&*parameter);
            } else {
                later.push(&*parameter);
            }
        }
        match self.algorithm {
            Algorithm::Sgd(config) => {
                sgd(&first, config, lr_factor, true)?;
                sgd(&later, config, lr_factor, false)
            }
            Algorithm::Adam(AdamConfig { lr, betas, eps, weight_decay, .. })
            | Algorithm::AdamW(AdamWConfig { lr, betas, eps, weight_decay, .. }) => {
                first.append(&mut later);
                let decoupled = matches!(self.algorithm, Algorithm::AdamW(_));
                let lr = lr * lr_factor;
                adam(&first, AdamArgs { lr, betas, weight_decay, eps, decoupled })
            }
        }
    }
}

/// Makes the state of a parameter before its first step.
fn initialise(parameter: &mut Parameter, state_names: &[&str]) -> Result<()> {
    let zeros = state_names.iter().map(|name| parameter.zeros(name));
    let state = zeros.collect::<std::result::Result<_, TchError>>();
    parameter.set_state(state.map_err(|e| Error::torch("make the state of an optimizer", e))?);
    Ok(())
}

/// One step of SGD; `first`: it is the first step of all `parameters`.
fn sgd(parameters: &[&Parameter], config: SgdConfig, lr_factor: f64, first: bool) -> Result<()> {
    if parameters.is_empty() {
        return Ok(());
    }
    let SgdConfig { lr, momentum, dampening, weight_decay, nesterov } = config;
    let args = SgdArgs { lr: lr * lr_factor, momentum, dampening, weight_decay, nesterov };
    let momenta: Option<Vec<_>> = (momentum > 0.0).then(|| state(parameters, 0));
    libtorch::sgd(&tensors(parameters), momenta.as_deref(), args, first)
}

/// One step of Adam or AdamW.
fn adam(parameters: &[&Parameter], args: AdamArgs) -> Result<()> {
    let Some(one) = parameters.first() else { return Ok(()) };
    let moments = AdamMoments {
        first: state(parameters, 0),
        second: state(parameters, 1),
        steps: state(parameters, 2),
        largest: (one.state().len() > 3).then(|| state(parameters, 3)),
    };
    libtorch::adam(&tensors(parameters), &moments, args)
}

fn tensors<'a>(parameters: &[&'a Parameter]) -> Vec<&'a Tensor> {
    parameters.iter().map(|parameter| parameter.tensor()).collect()
}

/// The `i`-th state tensor of every parameter.
fn state<'a>(parameters: &[&'a Parameter], i: usize) -> Vec<&'a Tensor> {
    parameters.iter().map(|parameter| &parameter.state()[i]).collect()
}
