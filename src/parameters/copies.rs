//! Copies of tensors.

use tch::{TchError, Tensor};

use crate::error::{Error, Result};

/// Copies of tensors, with which their contents can be restored.
#[derive(Debug, Default)]
pub(crate) struct TensorCopies(Vec<Saved>);

#[derive(Debug)]
struct Saved {
    tensor: Tensor,
    /// A copy of the contents of `tensor`.
    content: Tensor,
}

impl TensorCopies {
    /// Copies the contents of `tensors`.
    pub(crate) fn new(tensors: impl IntoIterator<Item = Tensor>) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let copy = |tensor: Tensor| {
            let mut content = tensor.f_detach()?.f_empty_like()?;
            content.f_copy_(&tensor)?;
            Ok(Saved { tensor, content })
        };
        let copies = tensors.into_iter().map(copy).collect::<std::result::Result<_, TchError>>();
        copies.map(Self).map_err(|e| Error::torch("copy variables", e))
    }

    /// Restores the contents at the time of the copy.
    pub(crate) fn restore(&self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        self.0.iter().try_for_each(|Saved { tensor, content }| {
            let restored = tensor.shallow_clone().f_copy_(content);
            restored.map_err(|e| Error::torch("restore variables", e))
        })
    }
}
