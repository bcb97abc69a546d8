//! What a group of ranks adds to a trainer and its builder.

use tch::Tensor;

use super::step::G2dTrainer;
#[cfg(feature = "distributed")]
use super::{ReplicaBuffers, builder::Builder};
#[cfg(feature = "distributed")]
use crate::distributed::ProcessGroup;
use crate::error::{Error, Result};
use crate::ranks::Call;

#[cfg(feature = "distributed")]
impl Builder {
    /// Trains together with the other ranks of `group`: each step is a step on the combined batch of all ranks.
    /// Every rank builds a trainer of the same configuration, with teachers of the same weights, and calls its
    /// methods in the same order; each passes its own batch. [`build`](Self::build) copies the parameters and
    /// buffers of rank 0 to all ranks.
    ///
    /// - The plan, and so κ, is that of ρ of the combined batch, where ρ is a mean over samples
    ///   ([`TrueClassProbability`](crate::loss::TrueClassProbability)); another ρ is averaged over the ranks,
    ///   weighted by their samples.
    /// - Gradients are those of the combined batch, also where ranks have different numbers of samples, or of
    ///   samples with a modality. A loss of your own tells the weights of its terms and samples
    ///   ([`G2dLoss::term_weights`](crate::G2dLoss::term_weights), [`task_weight`](crate::G2dLoss::task_weight)).
    /// - Gradients are averaged while backward runs, once per accumulation window, and are the same on all
    ///   ranks, as are the loss scale, the norm that is clipped, and what is skipped: a value that is not finite
    ///   on one rank counts for all.
    /// - A step that fails on one rank before its backward fails on all: the others receive
    ///   [`Error::Rank`](crate::Error::Rank), and nothing has changed on any. A later error closes the group.
    /// - Reports of steps hold the terms of the rank's own batch; those of epochs cover all ranks.
    ///
    /// tch's batch norm normalises by the rank's own batch, see [`ReplicaBuffers`];
    /// [`SyncBatchNorm`](crate::distributed::SyncBatchNorm) by those of all ranks. docs/distributed.md lists what is
    /// equal to a training on one device.
    pub fn group(mut self, group: &ProcessGroup) -> Self {
        self.group = Some(group.collective());
        self
    }

    /// Sets what becomes of the buffers of the ranks of a group; the default is [`ReplicaBuffers::Mean`].
    pub fn replica_buffers(mut self, buffers: ReplicaBuffers) -> Self {
        self.replica_buffers = buffers;
        self
    }
}

impl G2dTrainer {
    /// The number of this rank in the trainer's group; 0 without one. Rank 0 writes snapshots and records.
    pub fn rank(&self) -> usize {
        self.ranks.rank()
    }

    /// The outcome of a snapshot on all ranks, with the number of rank 0.
    pub(crate) fn agree_on_snapshot(&self, outcome: Result<f64>) -> Result<f64> {
        let steps = self.progress.total_steps;
        let (_, rows) = self.ranks.agree(Call::Snapshot, steps, outcome, |number| vec![*number])?;
        Ok(rows[0].values[0])
    }

    /// The tensors of all ranks for a snapshot.
    pub(crate) fn gather_for_snapshot(&self, own: &Tensor) -> Result<Vec<Tensor>> {
        self.ranks.gather(own)
    }

    /// Shows the other ranks an error.
    pub(super) fn fail(&self, call: Call, error: Error) -> Error {
        self.ranks.fail(call, self.progress.total_steps, error)
    }
}
