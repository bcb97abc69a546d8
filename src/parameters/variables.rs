//! All variables of a model.

use std::collections::HashSet;

use tch::{Tensor, nn::VarStore};

use super::{
    copies::TensorCopies,
    stores::{Stores, Variable, storage},
};
use crate::error::Result;
use crate::modality::Modality;
use crate::{libtorch, transfer};

/// The parameters and buffers of a model, each storage once, sorted by name within a `VarStore`.
///
/// Whether a parameter requires a gradient is read at each use, since layers may be frozen and
/// unfrozen between steps.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    parameters: Vec<Variable>,
    /// Running statistics.
    buffers: Vec<Variable>,
    storages: HashSet<usize>,
}

impl Variables {
    pub(crate) fn new(stores: impl Into<Stores>) -> Self {
        let mut variables = Self::default();
        stores.into().variables.into_iter().for_each(|variable| variables.insert(variable));
        variables
    }

    /// Adds the variables of `vs` under `name`, those whose storage is not included yet.
    pub(crate) fn add(&mut self, name: &str, vs: &VarStore) {
        let mut stores = Stores::default();
        stores.add(name, vs);
        stores.variables.into_iter().for_each(|variable| self.insert(variable));
    }

    /// Adds a parameter, unless its storage is included.
    pub(crate) fn add_parameter(&mut self, name: String, tensor: &Tensor) {
        let tensor = tensor.shallow_clone();
        self.insert(Variable { name, tensor, is_parameter: true, modality: None });
    }

    /// Adds a variable that has elements, unless its storage is included.
    pub(super) fn insert(&mut self, variable: Variable) {
        if variable.tensor.numel() == 0 || !self.storages.insert(storage(&variable.tensor)) {
            return;
        }
        let all = if variable.is_parameter { &mut self.parameters } else { &mut self.buffers };
        all.push(variable);
    }

    /// Shallow clones of all variables.
    pub(super) fn to_stores(&self) -> Stores {
        let clone = |v: &Variable| Variable {
            name: v.name.clone(),
            tensor: v.tensor.shallow_clone(),
            is_parameter: v.is_parameter,
            modality: v.modality.clone(),
        };
        Stores { variables: self.parameters.iter().chain(&self.buffers).map(clone).collect() }
    }

    /// The names and tensors of all parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.parameters.iter().map(|variable| (&variable.name, &variable.tensor))
    }

    /// The names, tensors and modalities of all parameters.
    pub(crate) fn with_modalities(
        &self,
    ) -> impl Iterator<Item = (&String, &Tensor, Option<&Modality>)> {
        self.parameters.iter().map(|v| (&v.name, &v.tensor, v.modality.as_ref()))
    }

    /// The names and tensors of all buffers.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.buffers.iter().map(|variable| (&variable.name, &variable.tensor))
    }

    /// Shallow clones of all tensors.
    pub(crate) fn all(&self) -> impl Iterator<Item = Tensor> {
        self.parameters.iter().chain(&self.buffers).map(|variable| variable.tensor.shallow_clone())
    }

    /// Returns whether a parameter has a gradient.
    pub(crate) fn has_gradient(&self) -> bool {
        self.parameters.iter().any(|variable| variable.tensor.grad().defined())
    }

    /// Makes all gradients undefined.
    pub(crate) fn clear_gradients(&self) -> Result<()> {
        libtorch::clear_grads(self.parameters.iter().map(|variable| &variable.tensor))
    }

    /// Multiplies the gradients of all parameters that require one by `factor`. Returns a device
    /// scalar: 1 if a gradient is not finite, else 0; `None` without gradients.
    pub(crate) fn scale_gradients(&self, factor: f64) -> Result<Option<Tensor>> {
        libtorch::scale_grads(self.learning(), factor)
    }

    /// Scales the gradients of all parameters that require one so that their joint L2 norm is at
    /// most `max_norm`. Returns the norm before, a device scalar; `None` without gradients.
    pub(crate) fn clip_gradients(&self, max_norm: f64) -> Result<Option<Tensor>> {
        libtorch::clip_grad_norm(&self.learning().collect::<Vec<_>>(), max_norm)
    }

    /// The name of the first parameter whose gradient is not finite. Synchronises with the device.
    pub(crate) fn first_non_finite_gradient(&self) -> Result<Option<&str>> {
        let all = self.parameters.iter().map(|v| (v.name.as_str(), v.tensor.grad()));
        let (names, gradients): (Vec<_>, Vec<_>) = all.filter(|(_, grad)| grad.defined()).unzip();
        Ok(transfer::first_non_finite(&gradients)?.map(|i| names[i]))
    }

    /// Copies all buffers to `copies`, whose memory is reused if it holds an earlier copy of them.
    pub(crate) fn copy_buffers(&self, copies: &mut Option<TensorCopies>) -> Result<()> {
        if let Some(copies) = copies {
            return copies.refresh();
        }
        let buffers = self.buffers.iter().map(|variable| variable.tensor.shallow_clone());
        *copies = Some(TensorCopies::new(buffers)?);
        Ok(())
    }

    /// The parameters that require a gradient.
    fn learning(&self) -> impl Iterator<Item = &Tensor> {
        let all = self.parameters.iter().map(|variable| &variable.tensor);
        all.filter(|tensor| tensor.requires_grad())
    }
}
