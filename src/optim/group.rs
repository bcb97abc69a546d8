//! A group of parameters with the same configuration.

use std::{collections::BTreeMap, path::Path};

use tch::{Kind, TchError, Tensor};

use super::{AdamConfig, AdamWConfig, Algorithm, SgdConfig, config::STEP};
use crate::error::{Error, Result};
use crate::libtorch::{self, AdamArgs, AdamMoments, SgdArgs};

/// Parameters that are updated with the same configuration.
#[derive(Debug)]
pub(super) struct Group {
    name: String,
    algorithm: Algorithm,
    parameters: Vec<Parameter>,
}

#[derive(Debug)]
struct Parameter {
    name: String,
    tensor: Tensor,
    /// The algorithm's state, in the order of its `state_names`; empty before the first step.
    state: Vec<Tensor>,
}

impl Group {
    /// A group without parameters.
    pub(super) fn new(name: String, algorithm: Algorithm) -> Self {
        Self { name, algorithm, parameters: Vec::new() }
    }

    pub(super) fn add(&mut self, name: String, tensor: Tensor) {
        self.parameters.push(Parameter { name, tensor, state: Vec::new() });
    }

    /// The group's name, which is the path of its parameters unless a predicate selected them; empty
    /// for the group of the parameters in no other one.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.parameters.iter().map(|parameter| &parameter.name)
    }

    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.parameters.iter().map(|parameter| &parameter.tensor)
    }

    /// Updates the parameters, with the learning rate multiplied by `lr_factor`. Frozen parameters
    /// may have an old gradient and are not updated.
    pub(super) fn step(&mut self, lr_factor: f64) -> Result<()> {
        let names = self.algorithm.state_names();
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for parameter in &mut self.parameters {
            if !parameter.tensor.requires_grad() || !parameter.tensor.grad().defined() {
                continue;
            }
            if parameter.state.len() < names.len() {
                let state = names.iter().map(|name| parameter.zeros(name));
                let state = state.collect::<std::result::Result<_, TchError>>();
                parameter.state = state.map_err(|e| Error::torch("make optimizer state", e))?;
                new.push(&*parameter);
            } else {
                old.push(&*parameter);
            }
        }
        match self.algorithm {
            Algorithm::Sgd(config) => {
                sgd(&new, config, lr_factor, true)?;
                sgd(&old, config, lr_factor, false)
            }
            Algorithm::Adam(AdamConfig { lr, betas, eps, weight_decay, .. })
            | Algorithm::AdamW(AdamWConfig { lr, betas, eps, weight_decay, .. }) => {
                new.append(&mut old);
                let decoupled = matches!(self.algorithm, Algorithm::AdamW(_));
                let lr = lr * lr_factor;
                adam(&new, AdamArgs { lr, betas, weight_decay, eps, decoupled })
            }
        }
    }

    /// The state tensors of all parameters, with their names in a file.
    pub(super) fn state(&self) -> impl Iterator<Item = (String, &Tensor)> {
        let names = self.algorithm.state_names().iter();
        self.parameters.iter().flat_map(move |parameter| {
            let state = names.clone().zip(&parameter.state);
            state.map(|(name, tensor)| (parameter.key(name), tensor))
        })
    }

    /// Removes the state of this group from the tensors of the file at `path`, and checks it.
    /// Returns the state tensors of every parameter, none for a parameter without a step.
    pub(super) fn read_state(
        &self,
        path: &Path,
        tensors: &mut BTreeMap<String, Tensor>,
    ) -> Result<Vec<Vec<Tensor>>> {
        let names = self.algorithm.state_names();
        let read = |parameter: &Parameter| parameter.read_state(path, names, tensors);
        self.parameters.iter().map(read).collect()
    }

    /// Discards the state of all parameters.
    pub(super) fn discard_state(&mut self) {
        self.parameters.iter_mut().for_each(|parameter| parameter.state.clear());
    }

    /// Restores a state that this group has read.
    pub(super) fn restore(&mut self, state: Vec<Vec<Tensor>>) {
        self.parameters.iter_mut().zip(state).for_each(|(own, state)| own.state = state);
    }
}

impl Parameter {
    /// The name of a state tensor in a file.
    fn key(&self, name: &str) -> String {
        format!("{name}:{}", self.name)
    }

    /// The initial state tensor `name`, on the parameter's device and in its memory layout: the
    /// fused kernels treat both as flat memory.
    fn zeros(&self, name: &str) -> std::result::Result<Tensor, TchError> {
        match name {
            STEP => Tensor::f_zeros([], (Kind::Float, self.tensor.device())),
            _ => self.tensor.f_detach()?.f_zeros_like(),
        }
    }

    fn read_state(
        &self,
        path: &Path,
        names: &[&str],
        tensors: &mut BTreeMap<String, Tensor>,
    ) -> Result<Vec<Tensor>> {
        let found = names.iter().filter_map(|name| tensors.remove(&self.key(name)));
        let found: Vec<Tensor> = found.collect();
        if !found.is_empty() && found.len() < names.len() {
            let what = format!("state of parameter {:?}", self.name);
            let expected = format!("all of {names:?}, or none");
            return Err(foreign(path, &what, expected, format!("{} of them", found.len())));
        }
        let copy = |(name, tensor): (&&str, Tensor)| {
            let failed = |e| Error::torch("load optimizer state", e);
            let mut own = self.zeros(name).map_err(failed)?;
            let [expected, found] =
                [&own, &tensor].map(|tensor| format!("{:?} {:?}", tensor.size(), tensor.kind()));
            if expected != found {
                let what = format!("{name} of parameter {:?}", self.name);
                return Err(foreign(path, &what, expected, found));
            }
            own.f_copy_(&tensor).map_err(failed)?;
            Ok(own)
        };
        names.iter().zip(found).map(copy).collect()
    }
}

/// The error for a file with the state of another optimizer.
pub(super) fn foreign(path: &Path, what: &str, expected: String, found: String) -> Error {
    let hint = "resume with the optimizer configuration, groups and model of the interrupted run";
    Error::data(path, what, expected, found, hint)
}

/// One step of SGD. `new`: it is the first step of these parameters.
fn sgd(parameters: &[&Parameter], config: SgdConfig, lr_factor: f64, new: bool) -> Result<()> {
    if parameters.is_empty() {
        return Ok(());
    }
    let SgdConfig { lr, momentum, dampening, weight_decay, nesterov } = config;
    let args = SgdArgs { lr: lr * lr_factor, momentum, dampening, weight_decay, nesterov };
    let momenta: Option<Vec<_>> = (momentum > 0.0).then(|| state(parameters, 0));
    libtorch::sgd(&tensors(parameters), momenta.as_deref(), args, new)
}

/// One step of Adam or AdamW.
fn adam(parameters: &[&Parameter], args: AdamArgs) -> Result<()> {
    let Some(one) = parameters.first() else { return Ok(()) };
    let moments = AdamMoments {
        first: state(parameters, 0),
        second: state(parameters, 1),
        steps: state(parameters, 2),
        largest: (one.state.len() > 3).then(|| state(parameters, 3)),
    };
    libtorch::adam(&tensors(parameters), &moments, args)
}

fn tensors<'a>(parameters: &[&'a Parameter]) -> Vec<&'a Tensor> {
    parameters.iter().map(|parameter| &parameter.tensor).collect()
}

/// The `i`-th state tensor of every parameter.
fn state<'a>(parameters: &[&'a Parameter], i: usize) -> Vec<&'a Tensor> {
    parameters.iter().map(|parameter| &parameter.state[i]).collect()
}
