//! From a `VarStore` to a file.

use std::path::Path;

use safetensors::SafeTensorError;
use tch::{Device, Kind, TchError, Tensor, nn::VarStore};

use super::BATCH_COUNTER;
use crate::{
    error::{Error, Result},
    file::atomic,
};

/// Writes all of `vs` to a safetensors file under its own names.
///
/// A batch norm, known by its `running_mean`, gets a `num_batches_tracked` of 0 beside it, which
/// PyTorch's strict loading wants. The file is written beside `path` and renamed when it is whole;
/// a file that was there stays until then.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written, [`Error::Torch`] for a tensor that the format does
/// not know.
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
    let path = path.as_ref();
    let mut named = Vec::new();
    for (name, tensor) in vs.variables() {
        let copied = tensor.detach().f_to_device(Device::Cpu).and_then(|t| t.f_contiguous());
        let copied = copied.map_err(|e| Error::torch(format!("copy {name:?} to the host"), e))?;
        if let Some(norm) = name.strip_suffix("running_mean") {
            let none_seen = Tensor::f_zeros([], (Kind::Int64, Device::Cpu))
                .map_err(|e| Error::torch("make a batch counter", e))?;
            named.push((format!("{norm}{BATCH_COUNTER}"), none_seen));
        }
        named.push((name, copied));
    }
    named.sort_by(|a, b| a.0.cmp(&b.0));
    atomic::write(path, |unfinished| {
        Tensor::write_safetensors(&named, unfinished).map_err(|reason| match reason {
            TchError::SafeTensorError { err: SafeTensorError::IoError(source), .. } => {
                Error::io("write", unfinished, source)
            }
            other => Error::torch(format!("write {}", path.display()), other),
        })
    })
}
