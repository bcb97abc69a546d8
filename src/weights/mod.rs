//! A network's parameters and buffers: as a safetensors file that PyTorch reads and writes, and those
//! of a training's best epoch ([`BestEpoch`]).
//!
//! [`load`] checks names, shapes and kinds before it touches anything; [`save`] writes what
//! `load_state_dict(strict=True)` accepts. docs/from-python.md shows the Python side.

mod best_epoch;
mod channels_last;
mod load;
mod save;

pub use best_epoch::BestEpoch;
pub use channels_last::channels_last;
pub use load::load;
pub(crate) use load::{Loaded, read};
pub use save::save;

/// PyTorch's count of the batches that a batch norm has seen: it keeps one, tch does not.
const BATCH_COUNTER: &str = "num_batches_tracked";
