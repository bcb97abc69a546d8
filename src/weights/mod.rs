//! The parameters and buffers of a network.
//!
//! - [`save`], [`load`]: safetensors files that PyTorch can load with
//!   `load_state_dict(strict=True)`, and the reverse. docs/from-python.md shows the Python side.
//! - [`LoadOptions`]: a part of a file into a part of a `VarStore`, also from tch's `.ot` and from files of
//!   `torch.save`, with a report.
//! - [`BestEpoch`]: the weights of the best epoch of a training run.
//! - [`Ema`]: the exponential moving average of the weights.
//! - [`channels_last`]: the memory layout of convolutions.

mod best_epoch;
mod channels_last;
mod ema;
mod fit;
mod load;
mod load_options;
mod loaded;
mod save;
mod source;
mod wrappers;

pub use best_epoch::BestEpoch;
pub use channels_last::channels_last;
pub use ema::{Averaged, Ema, EmaBuffers};
pub use load::load;
pub(crate) use load::read;
pub use load_options::{LoadOptions, LoadReport};
pub(crate) use loaded::Loaded;
pub use save::save;

/// The buffer of PyTorch's batch norm that counts batches; tch's batch norm has none.
const BATCH_COUNTER: &str = "num_batches_tracked";
