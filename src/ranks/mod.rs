//! The ranks of a data-parallel training: what they must agree on, and what they add up.
//!
//! - [`Collective`], [`Reducer`]: what a group of ranks can do. `g2d::distributed` implements them; without
//!   its feature nothing does, and every training has one rank.
//! - [`Ranks`]: the group of a training, or none. Its [`agree`](Ranks::agree) lets a part of a step succeed on
//!   all ranks or on none.
//! - [`Row`]: what one rank shows the others in that exchange.

mod agreement;
mod gather;
mod row;
mod text;

use tch::Tensor;

pub(crate) use agreement::Ranks;
pub(crate) use row::{Call, Row};

use crate::error::Result;

/// The operations of a group in which every rank takes part, in the same order on all of them. After an
/// error the group is closed, and every later operation is an error.
pub(crate) trait Collective {
    /// The number of this rank, from 0.
    fn rank(&self) -> usize;

    /// The number of ranks.
    fn size(&self) -> usize;

    /// Adds up `tensor` over all ranks, in place.
    fn sum(&self, tensor: &Tensor) -> Result<()>;

    /// Copies the contents of `tensors` on rank `root` to those of all ranks.
    fn broadcast(&self, tensors: &[Tensor], root: usize) -> Result<()>;

    /// A reducer of the gradients of these leaves, which are in the same order on all ranks.
    fn reducer(&self, parameters: &[&Tensor]) -> Result<Box<dyn Reducer>>;

    /// Whether layers of the model reduce in forward passes, so that every rank must run the same ones.
    fn is_used_by_layers(&self) -> bool;

    /// Closes the connections of such layers after a forward pass that has failed on a rank; on all ranks. The
    /// next forward pass makes new ones.
    fn close_layers(&self);

    /// Closes the connections, so that the other ranks do not wait for this one.
    fn close(&self, cause: &str);
}

/// Averages gradients over all ranks while backward runs.
pub(crate) trait Reducer {
    /// Forgets which parameters earlier backward passes have reached.
    fn reset(&self) -> Result<()>;

    /// Makes the next backward pass from `loss` average the gradients. A parameter that neither this pass
    /// nor earlier ones since the last reduction have reached on any rank keeps its gradient.
    fn prepare(&self, loss: &Tensor) -> Result<()>;

    /// An error if the last backward pass has left gradients that are not averaged.
    fn check_finished(&self) -> Result<()>;
}
