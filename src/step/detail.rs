//! A value that an algorithm reports of a step.

use tch::Tensor;

use crate::modality::Modality;

/// A value of a step that only one algorithm has, such as a coefficient or the logits of a turn.
#[derive(Debug)]
pub struct Detail {
    /// Its name, in snake_case.
    pub name: String,
    /// The modality that it describes; `None` for a value of the whole step.
    pub modality: Option<Modality>,
    /// The value, detached: a scalar, or a tensor with one row per sample.
    pub value: Tensor,
}

impl Detail {
    /// The value `name` of the whole step.
    pub fn new(name: impl Into<String>, value: &Tensor) -> Self {
        Self { name: name.into(), modality: None, value: value.detach() }
    }

    /// The value `name` of one modality.
    pub fn of(name: impl Into<String>, modality: &Modality, value: &Tensor) -> Self {
        Self { modality: Some(modality.clone()), ..Self::new(name, value) }
    }
}
