//! What L_S is computed from.

use tch::Tensor;

use super::Input;
use crate::batch::Extras;
use crate::error::Result;

/// What L_S is computed from: the fused logits of a batch, or the unimodal logits of the rows that have
/// a modality, with their targets and extras.
#[derive(Debug)]
pub struct TaskInput<'a> {
    /// Logits or predictions [B, C].
    pub logits: &'a Tensor,
    /// The targets, checked.
    pub targets: &'a Tensor,
    /// The extras of the same rows.
    pub extras: &'a Extras,
}

impl TaskInput<'_> {
    /// The tensor [B, …] that [`Batch::with_extra`](crate::Batch::with_extra) has added under `name`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config), with the names that exist, if there is none.
    pub fn extra(&self, name: &str) -> Result<&Tensor> {
        self.extras.get(name)
    }
}

impl<'a> From<&Input<'a>> for TaskInput<'a> {
    fn from(input: &Input<'a>) -> Self {
        Self { logits: input.logits, targets: input.targets, extras: input.extras }
    }
}
