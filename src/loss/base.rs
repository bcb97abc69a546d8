//! A loss whose task term can be replaced.

use super::{Distillation, G2dLoss, compare::Compare};

/// A loss with distillation, whose L_S another one can replace.
pub(super) trait Base: G2dLoss + Compare {
    /// The distillation terms.
    fn distillation(&self) -> &Distillation;
}
