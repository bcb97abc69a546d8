//! Every variable of a model, as one: what all its gradients and running statistics go through.

use std::collections::HashSet;

use tch::{Tensor, nn::VarStore};

use crate::{
    error::{Error, Result},
    libtorch, transfer,
};

/// A model's parameters and buffers, each once, sorted by name within a `VarStore`.
///
/// Which of the parameters learn is asked when it matters: layers may be frozen or unfrozen between.
#[derive(Debug, Default)]
pub(crate) struct Variables {
    parameters: Vec<(String, Tensor)>,
    buffers: Vec<Tensor>,
    known: HashSet<usize>,
}

impl Variables {
    pub(crate) fn new(vs: &VarStore) -> Self {
        let mut variables = Self::default();
        variables.add(vs);
        variables
    }

    /// Adds what `vs` holds and is not known yet.
    pub(crate) fn add(&mut self, vs: &VarStore) {
        // A frozen parameter is still one of these, a buffer never.
        let trainable: HashSet<usize> = vs.trainable_variables().iter().map(place).collect();
        let mut all: Vec<_> = vs.variables().into_iter().collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, tensor) in all {
            if trainable.contains(&place(&tensor)) {
                self.add_parameter(name, &tensor);
            } else if tensor.numel() > 0 && self.known.insert(place(&tensor)) {
                self.buffers.push(tensor);
            }
        }
    }

    /// Adds a parameter, unless it is known.
    pub(crate) fn add_parameter(&mut self, name: String, tensor: &Tensor) {
        if tensor.numel() > 0 && self.known.insert(place(tensor)) {
            self.parameters.push((name, tensor.shallow_clone()));
        }
    }

    /// Name and handle of every parameter.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = (&String, &Tensor)> {
        self.parameters.iter().map(|(name, tensor)| (name, tensor))
    }

    /// Makes every gradient undefined.
    pub(crate) fn clear_gradients(&self) -> Result<()> {
        libtorch::clear_grads(self.parameters.iter().map(|(_, tensor)| tensor))
    }

    /// Multiplies every gradient by `factor`. The answer is a device scalar, 1 where a number among
    /// them was not finite, else 0; `None` without gradients.
    pub(crate) fn scale_gradients(&self, factor: f64) -> Result<Option<Tensor>> {
        let learning = self.parameters.iter().map(|(_, tensor)| tensor);
        libtorch::scale_grads(learning.filter(|tensor| tensor.requires_grad()), factor)
    }

    /// The first parameter by name whose gradient is not finite. Waits for the device.
    pub(crate) fn first_non_finite_gradient(&self) -> Result<Option<&str>> {
        let with_gradient: Vec<_> = self
            .parameters
            .iter()
            .map(|(name, tensor)| (name, tensor.grad()))
            .filter(|(_, gradient)| gradient.defined())
            .collect();
        let gradients: Vec<Tensor> =
            with_gradient.iter().map(|(_, gradient)| gradient.shallow_clone()).collect();
        let found = transfer::first_non_finite(&gradients)?;
        Ok(found.map(|i| with_gradient[i].0.as_str()))
    }

    /// Copies of all buffers (running statistics) as they are now.
    pub(crate) fn copy_buffers(&self) -> Result<TensorCopies> {
        TensorCopies::new(self.buffers.iter().map(Tensor::shallow_clone))
    }
}

/// Tensors as they were, beside the live ones.
#[derive(Debug, Default)]
pub(crate) struct TensorCopies(Vec<(Tensor, Tensor)>);

impl TensorCopies {
    /// TensorCopies what `live` is now.
    pub(crate) fn new(live: impl IntoIterator<Item = Tensor>) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let copy = |live: Tensor| {
            let mut copy = live.f_detach()?.f_empty_like()?;
            copy.f_copy_(&live)?;
            Ok((live, copy))
        };
        let copies = live.into_iter().map(copy).collect::<std::result::Result<_, _>>();
        copies.map(Self).map_err(|source| Error::torch("copy variables", source))
    }

    /// Puts them back.
    pub(crate) fn restore(&self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (live, before) in &self.0 {
            let put = live.shallow_clone().f_copy_(before);
            put.map_err(|source| Error::torch("put variables back", source))?;
        }
        Ok(())
    }
}

/// Where a tensor's numbers are: the same for every handle on it.
fn place(tensor: &Tensor) -> usize {
    tensor.data_ptr() as usize
}
