//! An encoder and a head over one modality.

use tch::Tensor;

use crate::error::Result;

/// A model of one modality: φ_t^m and its head, before it is frozen.
///
/// A closure `|input: &Tensor, train: bool| (features, logits)` is one.
/// [`UnimodalTrainer`](crate::trainer::UnimodalTrainer) trains it, [`FrozenModel`](crate::teacher::FrozenModel) makes
/// a teacher of it.
///
/// # Contract
/// The same parameters are used in every call, and `train` is handed on to what behaves otherwise in
/// training (batch norm, dropout).
pub trait UnimodalModel {
    /// Features [B, d] (or [B, …]) and logits or predictions [B, C] of an input [B, …].
    ///
    /// # Errors
    /// Whatever does not fit the model.
    fn forward(&self, input: &Tensor, train: bool) -> Result<(Tensor, Tensor)>;
}

const _: Option<&dyn UnimodalModel> = None; // stays object-safe

impl UnimodalModel for Box<dyn UnimodalModel + Send> {
    fn forward(&self, input: &Tensor, train: bool) -> Result<(Tensor, Tensor)> {
        (**self).forward(input, train)
    }
}

impl<F: Fn(&Tensor, bool) -> (Tensor, Tensor)> UnimodalModel for F {
    fn forward(&self, input: &Tensor, train: bool) -> Result<(Tensor, Tensor)> {
        Ok(self(input, train))
    }
}
