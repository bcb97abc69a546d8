//! Reading a `VarStore` from a file.

use std::{collections::BTreeMap, path::Path};

use tch::{Tensor, nn::VarStore};

use super::{
    fit::{Tolerance, fit},
    loaded::Loaded,
    source::Source,
};
use crate::error::Result;

/// Loads a safetensors file into `vs`.
///
/// The file must hold every parameter and buffer of `vs` by name, with the same shape and dtype,
/// and no other tensors. It is checked before a variable of `vs` changes. Three differences are
/// accepted:
///
/// - Names of PyTorch's wrappers are removed where that makes names equal: `module.` (DataParallel,
///   DistributedDataParallel, AveragedModel), `_orig_mod.` (`torch.compile`), `model.` (the usual
///   attribute of a LightningModule), and those of FSDP and of activation checkpointing; several at
///   once, also inside the network. If more than one tensor may be meant, the error lists them.
/// - `num_batches_tracked` of batch norm is ignored unless `vs` has it, and `n_averaged` of
///   AveragedModel.
/// - A tensor that `safetensors.torch.save_model` left out, because it shares its memory with
///   another one, is read from that one.
///
/// A [`LoadOptions`](super::LoadOptions) loads a part of a file into a part of a `VarStore`, and reads other
/// formats.
///
/// # Errors
/// [`Error::Io`](crate::Error::Io) if the file cannot be read; [`Error::Data`](crate::Error::Data)
/// if it is not a safetensors file, or does not fit, with the names that are missing, unexpected, or
/// of another shape or dtype. `vs` is unchanged then, unless the disk fails while the values are read.
pub fn load(vs: &mut VarStore, path: impl AsRef<Path>) -> Result<()> {
    read(vs, path.as_ref())?.apply()
}

/// Checks that a file fits `vs`, which does not change.
pub(crate) fn read(vs: &VarStore, path: &Path) -> Result<Loaded> {
    let source = Source::from_safetensors(path)?;
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    fit(path, &variables, &source.tensors(), Tolerance::default()).map(Loaded::new)
}
