//! Buffers, such as the running statistics of batch norm, that differ between ranks.

use serde::{Deserialize, Serialize};
use tch::{TchError, Tensor};

use crate::error::{Error, Result};
use crate::parameters::Variables;
use crate::ranks::Ranks;

/// What becomes of the buffers of the ranks of a group, such as the running statistics of batch norm, which
/// each rank computes from its own batches: at the end of an epoch, and before the state of a trainer is saved.
///
/// In training, tch's batch norm normalises by the rank's own batch under all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaBuffers {
    /// All ranks get the mean over the ranks. Running means are those of the combined batches, if the ranks
    /// have as many samples; running variances lack what the means of the ranks differ by. Integers become
    /// those of rank 0.
    #[default]
    Mean,
    /// All ranks get those of rank 0, as in PyTorch's `DistributedDataParallel`.
    FromFirst,
    /// They stay as they are. A snapshot has those of rank 0.
    Own,
}

impl ReplicaBuffers {
    /// Makes the buffers of all ranks equal, except under `Own`.
    pub(super) fn apply(self, ranks: &Ranks, variables: &Variables) -> Result<()> {
        let Some(group) = ranks.group().filter(|_| self != Self::Own) else { return Ok(()) };
        let _no_grad = tch::no_grad_guard();
        let buffers: Vec<&Tensor> = variables.buffers().map(|(_, tensor)| tensor).collect();
        let copy = |tensor: &&Tensor| {
            let mut copy = tensor.f_empty_like()?;
            copy.f_copy_(tensor)?;
            Ok(copy)
        };
        let own = buffers.iter().map(copy).collect::<TchResult<Vec<_>>>().map_err(failed)?;
        let shared: Vec<Tensor> = buffers.iter().map(|tensor| tensor.shallow_clone()).collect();
        ranks.broadcast(&shared)?;
        if self == Self::FromFirst {
            return Ok(());
        }
        for (first, own) in shared.iter().zip(&own).filter(|(t, _)| t.is_floating_point()) {
            // Elements that are equal on all ranks, infinite ones too, keep every bit.
            let difference = || {
                let zero = own.f_zeros_like()?;
                zero.f_where_self(&own.f_eq_tensor(first)?, &own.f_sub(first)?)
            };
            let difference = difference().map_err(failed)?;
            group.sum(&difference)?;
            let mean = difference / ranks.size() as f64;
            let _ = first.shallow_clone().f_add_(&mean).map_err(failed)?;
        }
        Ok(())
    }
}

type TchResult<T> = std::result::Result<T, TchError>;

fn failed(source: TchError) -> Error {
    Error::torch("average the buffers of all ranks", source)
}
