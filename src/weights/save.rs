//! Writing a `VarStore` to a file.

use std::path::Path;

use tch::{Device, Kind, Tensor, nn::VarStore};

use super::BATCH_COUNTER;
use crate::error::{Error, Result};
use crate::file::tensors;
use crate::parameters::Variables;

/// Atomically writes all parameters and buffers of `vs` to a safetensors file, under their names.
///
/// For every batch norm, which is recognised by its `running_mean`, the file also has a
/// `num_batches_tracked`, which PyTorch's strict loading requires: the variable of this name, or 0
/// if `vs` has none.
///
/// # Errors
/// [`Error::NonFinite`] for a parameter or running statistics with NaN or an infinity, or another buffer
/// with NaN; [`Error::Io`] if the file cannot be written, [`Error::Torch`] for a tensor of a dtype that
/// the format does not support. A previous file at `path` is unchanged then.
///
/// # Example
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("student.safetensors");
/// let mut vs = tch::nn::VarStore::new(tch::Device::Cpu);
/// let layer = tch::nn::linear(vs.root() / "fc", 4, 2, Default::default());
/// g2d::weights::save(&vs, &path)?;
/// g2d::weights::load(&mut vs, &path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn save(vs: &VarStore, path: impl AsRef<Path>) -> Result<()> {
    Variables::new(vs).check_finite("model to save")?;
    let variables = vs.variables();
    let counter = Tensor::f_zeros([], (Kind::Int64, Device::Cpu))
        .map_err(|e| Error::torch("make a batch counter", e))?;
    let norms = variables.keys().filter_map(|name| name.strip_suffix("running_mean"));
    let counters = norms.map(|norm| format!("{norm}{BATCH_COUNTER}"));
    let counters = counters.filter(|name| !variables.contains_key(name));
    let counters = counters.map(|name| (name, &counter));
    let variables = variables.iter().map(|(name, tensor)| (name.clone(), tensor));
    tensors::write(path.as_ref(), variables.chain(counters), [])
}
