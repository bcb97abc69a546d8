//! The gradients of a model's parameters.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::libtorch;

/// A parameter of the model, as its [`ModalityParams`](crate::ModalityParams) have it.
#[derive(Debug)]
pub struct Parameter {
    /// The full name.
    pub name: String,
    /// The tensor.
    pub tensor: Tensor,
    /// The index of the modality whose encoder owns the parameter; `None` for a shared one.
    pub modality: Option<usize>,
}

/// A gradient for each parameter of a model, undefined where there is none.
///
/// They are values of their own: the parameters' gradients are unchanged until
/// [`Pass::update`](super::Pass::update) applies them.
#[derive(Debug)]
pub struct Gradients<'a> {
    parameters: &'a [Parameter],
    values: Vec<Tensor>,
}

impl<'a> Gradients<'a> {
    /// No gradient for any of `parameters`.
    pub(super) fn none(parameters: &'a [Parameter]) -> Self {
        Self { parameters, values: parameters.iter().map(|_| Tensor::new()).collect() }
    }

    /// The gradients of the scalar `loss` by the parameters for which `which` returns true.
    pub(super) fn compute(
        parameters: &'a [Parameter],
        loss: &Tensor,
        keep_graph: bool,
        which: impl Fn(&Parameter) -> bool,
    ) -> std::result::Result<Self, TchError> {
        let mut all = Self::none(parameters);
        let learning: Vec<usize> = (0..parameters.len())
            .filter(|&i| parameters[i].tensor.requires_grad() && which(&parameters[i]))
            .collect();
        if !learning.is_empty() && loss.requires_grad() {
            let inputs: Vec<&Tensor> = learning.iter().map(|&i| &parameters[i].tensor).collect();
            let found = Tensor::f_run_backward(&[loss], &inputs, keep_graph, false)?;
            learning.iter().zip(found).for_each(|(&i, gradient)| all.values[i] = gradient);
        }
        Ok(all)
    }

    /// The gradients in `all` of the parameters for which `which` returns true.
    pub fn of(all: &Self, which: impl Fn(&Parameter) -> bool) -> Self {
        let mut own = Self::none(all.parameters);
        for (i, parameter) in all.parameters.iter().enumerate() {
            if which(parameter) {
                own.values[i] = all.values[i].shallow_clone();
            }
        }
        own
    }

    /// Replaces the gradients that `other`, of the same model, has.
    pub fn set_from(&mut self, other: &Self) {
        for (own, other) in self.values.iter_mut().zip(&other.values) {
            if other.defined() {
                *own = other.shallow_clone();
            }
        }
    }

    /// The parameters with a gradient.
    pub fn iter(&self) -> impl Iterator<Item = (&'a Parameter, &Tensor)> {
        self.parameters.iter().zip(&self.values).filter(|(_, gradient)| gradient.defined())
    }

    /// The parameters of the encoder of modality `m` with a gradient.
    pub fn encoder(&self, m: usize) -> impl Iterator<Item = (&'a Parameter, &Tensor)> {
        self.iter().filter(move |(parameter, _)| parameter.modality == Some(m))
    }

    /// The gradient of a parameter; `None` where it has none.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.iter().find(|(parameter, _)| parameter.name == name).map(|(_, gradient)| gradient)
    }

    /// Whether no parameter has a gradient.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Replaces every gradient for which `change` returns one.
    ///
    /// # Errors
    /// Any error of `change`.
    pub fn replace(
        &mut self,
        mut change: impl FnMut(&Parameter, &Tensor) -> Result<Option<Tensor>>,
    ) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (parameter, value) in self.parameters.iter().zip(&mut self.values) {
            if value.defined()
                && let Some(changed) = change(parameter, value)?
            {
                *value = changed;
            }
        }
        Ok(())
    }

    /// Adds the gradients of the same model in `other`; a gradient that only one of them has is unchanged.
    ///
    /// # Errors
    /// [`Error::Torch`] for gradients of another model.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (own, other) in self.values.iter_mut().zip(&other.values) {
            match (own.defined(), other.defined()) {
                (true, true) => *own = own.f_add(other).map_err(failed)?,
                (false, true) => *own = other.shallow_clone(),
                (_, false) => {}
            }
        }
        Ok(())
    }

    /// The L2 norm of all gradients together, a scalar; 0 without gradients.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn norm(&self) -> Result<Tensor> {
        self.norm_of(self.iter())
    }

    /// The L2 norm of the gradients of the encoder of modality `m`, a scalar.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn encoder_norm(&self, m: usize) -> Result<Tensor> {
        self.norm_of(self.encoder(m))
    }

    fn norm_of<'t>(
        &self,
        gradients: impl Iterator<Item = (&'t Parameter, &'t Tensor)>,
    ) -> Result<Tensor> {
        let _no_grad = tch::no_grad_guard();
        let norms = gradients.map(|(_, gradient)| gradient.f_norm());
        let norms = norms.collect::<std::result::Result<Vec<_>, TchError>>().map_err(failed)?;
        let stacked = match norms.is_empty() {
            false => Tensor::f_stack(&norms, 0),
            true => {
                let like = self.parameters.first().map(|p| (p.tensor.kind(), p.tensor.device()));
                Tensor::f_zeros([1], like.unwrap_or(tch::kind::FLOAT_CPU))
            }
        };
        stacked.and_then(|norms| norms.f_norm()).map_err(failed)
    }

    /// Scales all gradients so that their joint L2 norm is at most `max_norm`, as
    /// `torch.nn.utils.clip_grad_norm_`. Returns the norm before, a scalar.
    ///
    /// # Errors
    /// [`Error::Torch`].
    pub fn clip_norm(&mut self, max_norm: f64) -> Result<Tensor> {
        let norm = self.norm()?;
        let factor = || (max_norm / (&norm + 1e-6)).f_clamp_max(1.0);
        let factor = factor().map_err(failed)?;
        self.replace(|_, gradient| Ok(Some(gradient.f_mul(&factor)?)))?;
        Ok(norm)
    }

    /// Sets the gradients of the parameters to these.
    pub(super) fn set(&self) -> Result<()> {
        libtorch::set_grads(self.parameters.iter().map(|p| &p.tensor).zip(&self.values))
    }

    /// Makes the gradients of the parameters undefined.
    pub(super) fn clear(parameters: &[Parameter]) -> Result<()> {
        libtorch::clear_grads(parameters.iter().map(|parameter| &parameter.tensor))
    }
}

fn failed(source: TchError) -> Error {
    Error::torch("combine gradients", source)
}
