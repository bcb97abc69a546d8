//! Values that have been checked.

use tch::Tensor;

use super::{fit::Fit, source::Stored};
use crate::error::Result;

/// The values of a file that fits a `VarStore`, which [`apply`](Self::apply) changes. Those of a
/// safetensors file are read by it, so that a large model is not in memory twice.
#[derive(Debug)]
pub(crate) struct Loaded(Vec<(String, Tensor, Stored)>);

impl Loaded {
    pub(super) fn new(fit: Fit) -> Self {
        Self(fit.fitting)
    }

    /// Copies the values to the variables.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read to its end: a part of the variables has
    /// changed then.
    pub(crate) fn apply(self) -> Result<()> {
        self.0
            .into_iter()
            .try_for_each(|(name, mut variable, stored)| stored.copy_to(&name, &mut variable))
    }
}
