//! All variables of a model.

use std::collections::HashSet;

use tch::{Tensor, nn::VarStore};

use super::TensorCopies;
use crate::error::Result;
use crate::{libtorch, transfer};

/// The parameters and buffers of a model, each storage once, sorted by name within a `VarStore`.
///
/// Whether a parameter requires a gradient is read at each use, since layers may be frozen and
/// unfrozen between steps.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    parameters: Vec<(String, Tensor)>,
    /// Running statistics.
    buffers: Vec<(String, Tensor)>,
    storages: HashSet<usize>,
}

impl Variables {
    pub(crate) fn new(vs: &VarStore) -> Self {
        let mut variables = Self::default();
        variables.add(vs);
        variables
    }

    /// Adds the variables of `vs` whose storage is not included yet.
    pub(crate) fn add(&mut self, vs: &VarStore) {
        for Variable { name, tensor, is_parameter } in sorted(vs) {
            if is_parameter {
                self.add_parameter(name, &tensor);
            } else if self.storages.insert(storage(&tensor)) {
                self.buffers.push((name, tensor));
            }
        }
    }

    /// Adds a parameter, unless its storage is included.
    pub(crate) fn add_parameter(&mut self, name: String, tensor: &Tensor) {
        if tensor.numel() > 0 && self.storages.insert(storage(tensor)) {
            self.parameters.push((name, tensor.shallow_clone()));
        }
    }

    /// The names and tensors of all parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.parameters.iter().map(|(name, tensor)| (name, tensor))
    }

    /// The names and tensors of all buffers.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.buffers.iter().map(|(name, tensor)| (name, tensor))
    }

    /// Returns whether a parameter has a gradient.
    pub(crate) fn has_gradient(&self) -> bool {
        self.parameters.iter().any(|(_, tensor)| tensor.grad().defined())
    }

    /// Makes all gradients undefined.
    pub(crate) fn clear_gradients(&self) -> Result<()> {
        libtorch::clear_grads(self.parameters.iter().map(|(_, tensor)| tensor))
    }

    /// Multiplies the gradients of all parameters that require one by `factor`. Returns a device
    /// scalar: 1 if a gradient is not finite, else 0; `None` without gradients.
    pub(crate) fn scale_gradients(&self, factor: f64) -> Result<Option<Tensor>> {
        let parameters = self.parameters.iter().map(|(_, tensor)| tensor);
        libtorch::scale_grads(parameters.filter(|tensor| tensor.requires_grad()), factor)
    }

    /// The name of the first parameter whose gradient is not finite. Synchronises with the device.
    pub(crate) fn first_non_finite_gradient(&self) -> Result<Option<&str>> {
        let all = self.parameters.iter().map(|(name, tensor)| (name.as_str(), tensor.grad()));
        let (names, gradients): (Vec<_>, Vec<_>) = all.filter(|(_, grad)| grad.defined()).unzip();
        Ok(transfer::first_non_finite(&gradients)?.map(|i| names[i]))
    }

    /// Copies all buffers to `copies`, whose memory is reused if it holds an earlier copy of them.
    pub(crate) fn copy_buffers(&self, copies: &mut Option<TensorCopies>) -> Result<()> {
        if let Some(copies) = copies {
            return copies.refresh();
        }
        let buffers = self.buffers.iter().map(|(_, tensor)| tensor.shallow_clone());
        *copies = Some(TensorCopies::new(buffers)?);
        Ok(())
    }
}

/// A variable of a `VarStore`.
pub(super) struct Variable {
    pub name: String,
    pub tensor: Tensor,
    /// Whether the variable is a parameter, which may be frozen, and not a buffer.
    pub is_parameter: bool,
}

/// The variables of `vs` that have elements, sorted by name.
pub(super) fn sorted(vs: &VarStore) -> Vec<Variable> {
    let parameters: HashSet<usize> = vs.trainable_variables().iter().map(storage).collect();
    let variable = |(name, tensor)| {
        let is_parameter = parameters.contains(&storage(&tensor));
        Variable { name, tensor, is_parameter }
    };
    let mut variables: Vec<_> = vs.variables().into_iter().map(variable).collect();
    variables.retain(|variable| variable.tensor.numel() > 0);
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    variables
}

/// The address of a tensor's elements, which all handles on the tensor share.
pub(super) fn storage(tensor: &Tensor) -> usize {
    tensor.data_ptr() as usize
}
