//! The parameters and buffers of a network.
//!
//! - [`save`], [`load`]: safetensors files that PyTorch can load with
//!   `load_state_dict(strict=True)`, and the reverse. docs/from-python.md shows the Python side.
//! - [`BestEpoch`]: the weights of the best epoch of a training run.
//! - [`channels_last`]: the memory layout of convolutions.

mod best_epoch;
mod channels_last;
mod fit;
mod load;
mod save;
mod wrappers;

pub use best_epoch::BestEpoch;
pub use channels_last::channels_last;
pub use load::load;
pub(crate) use load::{Loaded, read};
pub use save::save;

/// The buffer of PyTorch's batch norm that counts batches; tch's batch norm has none.
const BATCH_COUNTER: &str = "num_batches_tracked";
