//! A model of one modality.

use tch::Tensor;

use crate::batch::Input;
use crate::error::Result;

/// An encoder and a head over one modality: φ_t^m before it is frozen.
///
/// [`UnimodalTrainer`](crate::trainer::UnimodalTrainer) trains it; [`FrozenModel`](super::FrozenModel)
/// makes a teacher of it. A closure `|input: &Input, train: bool| (features, logits)` implements the
/// trait; an [`Input`] dereferences to its first tensor.
///
/// # Contract
/// Every call uses the same parameters and passes `train` on to layers that behave differently in
/// training (batch norm, dropout).
pub trait UnimodalModel {
    /// Features [B, d] (or [B, …]) and logits or predictions [B, C] of an input of tensors [B, …].
    ///
    /// # Errors
    /// Any error of the model.
    fn forward(&self, input: &Input, train: bool) -> Result<(Tensor, Tensor)>;
}

const _: Option<&dyn UnimodalModel> = None; // stays object-safe

impl UnimodalModel for Box<dyn UnimodalModel + Send> {
    fn forward(&self, input: &Input, train: bool) -> Result<(Tensor, Tensor)> {
        (**self).forward(input, train)
    }
}

impl<F: Fn(&Input, bool) -> (Tensor, Tensor)> UnimodalModel for F {
    fn forward(&self, input: &Input, train: bool) -> Result<(Tensor, Tensor)> {
        Ok(self(input, train))
    }
}
