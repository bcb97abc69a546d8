//! The variables of one or more `VarStore`s.

use std::collections::HashSet;

use tch::{Tensor, nn::VarStore};

use crate::modality::Modality;

/// The variables of a model, from one `VarStore` or several, with their full names.
///
/// A variable of a single `VarStore` has its own name. Several stores have names, with which the
/// names of their variables begin: `fc.weight` of the store `"text"` is `text.fc.weight`. This is
/// so wherever a store is expected: by [`ModalityParams`](super::ModalityParams),
/// [`Optimizer::builder`](crate::optim::Optimizer::builder) and
/// [`weights::Ema`](crate::weights::Ema). `From` makes it, so that a function that takes
/// `impl Into<Stores>` is called with
///
/// - `&vs`, one `VarStore`;
/// - `[("audio", &vs_a), ("text", &vs_t)]`, an array or a `Vec` of named stores;
/// - `&params`, a [`ModalityParams`](super::ModalityParams) with all its stores, where each
///   parameter has its modality.
///
/// The tensors are shallow clones: they follow later changes of value, device and dtype. Variables
/// that are made later are not included, nor are those without elements.
#[derive(Debug, Default)]
pub struct Stores {
    pub(super) variables: Vec<Variable>,
}

/// A variable of a `VarStore`.
#[derive(Debug)]
pub(super) struct Variable {
    /// The full name.
    pub name: String,
    pub tensor: Tensor,
    /// Whether the variable is a parameter, which may be frozen, and not a buffer.
    pub is_parameter: bool,
    /// The modality whose encoder the variable belongs to, where that is known.
    pub modality: Option<Modality>,
}

impl Variable {
    /// The name and a handle on the tensor.
    pub(super) fn named(&self) -> (String, Tensor) {
        (self.name.clone(), self.tensor.shallow_clone())
    }
}

impl Stores {
    /// Adds the variables of `vs`, sorted by name, under `name`; under their own names if it is
    /// empty.
    pub(super) fn add(&mut self, name: &str, vs: &VarStore) {
        let parameters: HashSet<usize> = vs.trainable_variables().iter().map(storage).collect();
        let variable = |(own, tensor): (String, Tensor)| Variable {
            name: full_name(name, &own),
            is_parameter: parameters.contains(&storage(&tensor)),
            tensor,
            modality: None,
        };
        let mut all: Vec<_> = vs.variables().into_iter().map(variable).collect();
        all.retain(|variable| variable.tensor.numel() > 0);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        self.variables.append(&mut all);
    }

    /// Adds a parameter that is in no store.
    pub(super) fn add_parameter(&mut self, name: String, tensor: &Tensor) {
        let tensor = tensor.shallow_clone();
        self.variables.push(Variable { name, tensor, is_parameter: true, modality: None });
    }
}

impl From<&VarStore> for Stores {
    fn from(vs: &VarStore) -> Self {
        Self::from([("", vs)])
    }
}

impl From<&mut VarStore> for Stores {
    fn from(vs: &mut VarStore) -> Self {
        Self::from(&*vs)
    }
}

impl<N: AsRef<str>, const K: usize> From<[(N, &VarStore); K]> for Stores {
    fn from(stores: [(N, &VarStore); K]) -> Self {
        stores.into_iter().collect()
    }
}

impl<N: AsRef<str>> From<Vec<(N, &VarStore)>> for Stores {
    fn from(stores: Vec<(N, &VarStore)>) -> Self {
        stores.into_iter().collect()
    }
}

impl<'a, N: AsRef<str>> FromIterator<(N, &'a VarStore)> for Stores {
    fn from_iter<I: IntoIterator<Item = (N, &'a VarStore)>>(named: I) -> Self {
        let mut stores = Self::default();
        named.into_iter().for_each(|(name, vs)| stores.add(name.as_ref(), vs));
        stores
    }
}

fn full_name(store: &str, own: &str) -> String {
    if store.is_empty() { own.to_owned() } else { format!("{store}.{own}") }
}

/// The address of a tensor's elements, which all handles on the tensor share.
pub(super) fn storage(tensor: &Tensor) -> usize {
    tensor.data_ptr() as usize
}
