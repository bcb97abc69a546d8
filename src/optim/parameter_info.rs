//! What a rule for groups sees of a parameter.

use crate::modality::Modality;

/// A parameter, as the predicates of [`Builder::group_where`](super::Builder::group_where) and
/// [`Builder::no_decay`](super::Builder::no_decay) receive it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParameterInfo {
    /// The full name.
    pub name: String,
    /// The shape.
    pub shape: Vec<i64>,
    /// The modality whose encoder owns the parameter; `None` for a shared one, and for an optimizer
    /// that is not built from a [`ModalityParams`](crate::ModalityParams).
    pub modality: Option<Modality>,
}

impl ParameterInfo {
    /// Returns whether the parameter has fewer than two dimensions, as have biases and the weights
    /// of norm layers, and no weights of linear layers, convolutions and embeddings.
    pub fn is_bias_or_norm(&self) -> bool {
        self.shape.len() < 2
    }

    /// Returns whether the parameter belongs to the encoder of the modality called `name`.
    pub fn is_of(&self, name: &str) -> bool {
        self.modality.as_ref().is_some_and(|modality| modality.name() == name)
    }
}
