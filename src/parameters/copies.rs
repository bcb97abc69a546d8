//! Copies of tensors.

use tch::Tensor;

use crate::error::{Error, Result};
use crate::libtorch;

/// Copies of tensors, with which their contents can be restored.
#[derive(Debug, Default)]
pub(crate) struct TensorCopies {
    tensors: Vec<Tensor>,
    /// A copy of the contents of each tensor.
    contents: Vec<Tensor>,
}

impl TensorCopies {
    /// Copies the contents of `tensors`.
    pub(crate) fn new(tensors: impl IntoIterator<Item = Tensor>) -> Result<Self> {
        let tensors: Vec<Tensor> = tensors.into_iter().collect();
        let contents = tensors.iter().map(|_| Tensor::new()).collect();
        let mut copies = Self { tensors, contents };
        copies.refresh()?;
        Ok(copies)
    }

    /// Copies the contents of the same tensors again, into the same memory.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        libtorch::copy(&mut self.contents, &self.tensors)
    }

    /// Restores the contents at the time of the last copy.
    pub(crate) fn restore(&self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        self.tensors.iter().zip(&self.contents).try_for_each(|(tensor, content)| {
            let restored = tensor.shallow_clone().f_copy_(content);
            restored.map_err(|e| Error::torch("restore variables", e))
        })
    }
}
