//! Reading a `VarStore` from a file.

use std::{collections::BTreeMap, path::Path};

use tch::{TchError, Tensor, nn::VarStore};

use super::fit::fit;
use crate::error::{Error, Result};
use crate::file::{dtype::to_tensor, tensors::TensorFile};

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
/// # Errors
/// [`Error::Io`] if the file cannot be read; [`Error::Data`] if it is not a safetensors file, or
/// does not fit, with the names that are missing, unexpected, or of another shape or dtype.
pub fn load(vs: &mut VarStore, path: impl AsRef<Path>) -> Result<()> {
    read(vs, path.as_ref())?.apply()
}

/// The values of a file that fits a `VarStore`, which [`apply`](Self::apply) changes.
#[derive(Debug)]
pub(crate) struct Loaded(Vec<Value>);

#[derive(Debug)]
struct Value {
    name: String,
    variable: Tensor,
    value: Tensor,
}

impl Loaded {
    /// Copies the values to the variables.
    pub(crate) fn apply(self) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        self.0.into_iter().try_for_each(|Value { name, mut variable, value }| {
            variable.f_copy_(&value).map_err(|e| failed(&name, e))
        })
    }
}

/// Reads a file and checks that it fits `vs`, which does not change.
pub(crate) fn read(vs: &VarStore, path: &Path) -> Result<Loaded> {
    let file = TensorFile::read(path)?;
    let variables: BTreeMap<String, Tensor> = vs.variables().into_iter().collect();
    let views = file.parse()?.tensors().into_iter().collect();
    let value = |(name, variable, view): (String, _, _)| {
        let value = to_tensor(&view).map_err(|e| failed(&name, e))?;
        Ok(Value { name, variable, value })
    };
    let fitting = fit(path, variables, views, &file.texts()?)?;
    fitting.into_iter().map(value).collect::<Result<_>>().map(Loaded)
}

fn failed(name: &str, source: TchError) -> Error {
    Error::torch(format!("load {name:?}"), source)
}
