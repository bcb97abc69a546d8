//! What InfoReg keeps of the encoders.

use std::collections::HashMap;

use tch::{Kind, Tensor, nn::VarStore};

use crate::algorithm::{Gradients, Parameter, Session};
use crate::error::Result;

/// Tensors of the parameters of both encoders.
#[derive(Debug)]
pub(super) struct EncoderMemory {
    store: VarStore,
    encoders: HashMap<String, Kept>,
}

/// What is kept of a parameter.
#[derive(Debug)]
struct Kept {
    modality: usize,
    /// θ at the start of the epoch.
    start: Tensor,
    /// Σ gradient² of the epoch, of a parameter that is traced.
    squares: Option<Tensor>,
}

impl EncoderMemory {
    /// Zeros for the encoders of `session`.
    pub(super) fn new(session: &Session) -> Result<Self> {
        let mut store = VarStore::new(session.device());
        let parameters = session.parameters();
        let convolves =
            [0, 1].map(|m| parameters.iter().any(|p| p.modality == Some(m) && p.tensor.dim() == 4));
        let mut encoders = HashMap::new();
        for parameter in parameters {
            let Some(modality) = parameter.modality else { continue };
            let dimensions = parameter.tensor.dim();
            let traced = if convolves[modality] { dimensions == 4 } else { dimensions >= 2 };
            let zeros = |kind: &str| {
                let parts = parameter.name.split('.');
                let path = parts.clone().fold(store.root() / kind, |path, part| path / part);
                path.zeros_no_train("value", &parameter.tensor.size())
            };
            let kept =
                Kept { modality, start: zeros("start"), squares: traced.then(|| zeros("squares")) };
            encoders.insert(parameter.name.clone(), kept);
        }
        if let Some(parameter) = parameters.first() {
            store.set_kind(parameter.tensor.kind());
        }
        Ok(Self { store, encoders })
    }

    /// Begins an epoch.
    pub(super) fn begin(&self, parameters: &[Parameter]) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for parameter in parameters {
            if let Some(kept) = self.encoders.get(&parameter.name) {
                kept.start.shallow_clone().f_copy_(&parameter.tensor)?;
                if let Some(squares) = &kept.squares {
                    let _ = squares.shallow_clone().f_zero_()?;
                }
            }
        }
        Ok(())
    }

    /// θ − θ at the start of the epoch, of an encoder's parameter.
    pub(super) fn moved(&self, parameter: &Parameter) -> Result<Tensor> {
        match self.encoders.get(&parameter.name) {
            Some(kept) => Ok(parameter.tensor.f_sub(&kept.start)?),
            None => Ok(parameter.tensor.f_zeros_like()?),
        }
    }

    /// The tensors, for a snapshot.
    pub(super) fn store(&self) -> &VarStore {
        &self.store
    }

    /// Adds the squares of the traced gradients of a step.
    pub(super) fn add_squares(&self, gradients: &Gradients<'_>) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        for (parameter, gradient) in gradients.iter() {
            let kept = self.encoders.get(&parameter.name);
            if let Some(squares) = kept.and_then(|kept| kept.squares.as_ref()) {
                let _ = squares.shallow_clone().f_add_(&gradient.f_square()?)?;
            }
        }
        Ok(())
    }

    /// T of each modality.
    pub(super) fn traces(&self) -> Result<[f64; 2]> {
        let mut traces = [0.0; 2];
        let mut names: Vec<&String> = self.encoders.keys().collect();
        names.sort();
        for name in names {
            let Kept { modality, squares, .. } = &self.encoders[name];
            if let Some(squares) = squares {
                traces[*modality] += f64::try_from(squares.f_mean(Kind::Double)?)?;
            }
        }
        Ok(traces)
    }
}
