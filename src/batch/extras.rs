//! What a batch holds beside inputs and targets.

use std::collections::BTreeMap;

use tch::Tensor;

use super::Rows;
use crate::error::{self, Result};

/// Further tensors [B, …] of a batch by name, with one row per sample: sample weights, targets of a
/// second task.
///
/// The encoders and the fusion read them from the [`Batch`](crate::Batch), the loss from its
/// [`Input`](crate::loss::Input).
#[derive(Debug, Default)]
pub struct Extras(BTreeMap<String, Tensor>);

impl Extras {
    /// The tensor called `name`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), with the names that exist, if there is none.
    pub fn get(&self, name: &str) -> Result<&Tensor> {
        self.0.get(name).ok_or_else(|| {
            let names: Vec<_> = self.0.keys().collect();
            let hint = "add it with `Batch::with_extra`";
            error::config("extra of the batch", format!("{name:?}"), format!("{names:?}"), hint)
        })
    }

    /// The tensors and their names, in the order of the names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name.as_str(), tensor))
    }

    /// Adds a tensor, or replaces the tensor of this name.
    pub fn insert(&mut self, name: impl Into<String>, tensor: Tensor) {
        self.0.insert(name.into(), tensor);
    }

    /// The rows of every tensor, as [`Rows::select`].
    ///
    /// # Errors
    /// [`Error::Torch`](crate::Error::Torch) if a tensor has fewer rows than the batch.
    pub fn select(&self, rows: &Rows) -> Result<Self> {
        self.map(|tensor| rows.select(tensor))
    }

    /// The same names with `each` applied to the tensors.
    pub(crate) fn map(&self, each: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let tensors = self.0.iter().map(|(name, tensor)| Ok((name.clone(), each(tensor)?)));
        tensors.collect::<Result<_>>().map(Self)
    }
}
