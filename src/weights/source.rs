//! The tensors of a file of weights.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::file::{
    format::Format,
    tensors::{InFile, TensorFile},
};

/// The content of a file of weights.
pub(super) enum Source {
    Safetensors(Arc<TensorFile>),
    /// A file that libtorch has read.
    Tensors(BTreeMap<String, Tensor>),
}

/// A tensor of a file.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) shape: Vec<usize>,
    /// `None` for a dtype that tch does not have.
    pub(super) kind: Option<Kind>,
    /// The name of the dtype in the file.
    pub(super) dtype: String,
    /// Whether `safetensors.torch.save_model` left the tensor out, because it shares its memory with
    /// another one, which is here in its place.
    pub(super) left_out: bool,
    data: Data,
}

#[derive(Debug)]
enum Data {
    InFile(InFile),
    Tensor(Tensor),
}

impl Source {
    /// Opens a safetensors file, whose tensors are read when they are copied to variables.
    pub(super) fn from_safetensors(path: &Path) -> Result<Self> {
        TensorFile::open(path).map(Self::Safetensors)
    }

    /// Reads a file in the format that its content has: a file of `torch.save` with a dict of
    /// tensors, a TorchScript archive, which tch's `VarStore::save` writes, or safetensors.
    pub(super) fn from_any(path: &Path) -> Result<Self> {
        match Format::from_file(path).map_err(|e| Error::io("read", path, e))? {
            Some(format @ Format::TorchSave) => {
                let hint = "libtorch reads a dict of names to tensors only: in Python, write \
                            `torch.save(dict(model.state_dict()), path)`, or use \
                            `safetensors.torch.save_file`; take the `state_dict` out of a nested \
                            checkpoint";
                let read = Tensor::loadz_multi_with_device(path, Device::Cpu);
                from_libtorch(path, format, read, hint)
            }
            Some(format @ Format::TorchScript) => {
                let hint = "write the weights with tch's `VarStore::save` under a name that ends in \
                            `.ot`, or with `weights::save`";
                let read = Tensor::load_multi_with_device(path, Device::Cpu);
                from_libtorch(path, format, read, hint)
            }
            _ => Self::from_safetensors(path),
        }
    }

    /// The tensors of the file by name.
    pub(super) fn tensors(&self) -> BTreeMap<String, Stored> {
        let file = match self {
            Self::Safetensors(file) => file,
            Self::Tensors(all) => {
                let stored = |(name, t): (&String, _)| (name.clone(), Stored::from_tensor(t));
                return all.iter().map(stored).collect();
            }
        };
        let entries = file.entries().into_iter();
        let mut all: BTreeMap<_, _> =
            entries.map(|(name, entry)| (name, Stored::from_file(entry))).collect();
        // The header lists the tensors that were left out.
        for (name, shared) in file.texts() {
            if let Some(shared) = all.get(&shared).filter(|_| !all.contains_key(&name)) {
                let stored = Stored { left_out: true, ..shared.share() };
                all.insert(name, stored);
            }
        }
        all
    }
}

fn from_libtorch(
    path: &Path,
    format: Format,
    read: std::result::Result<Vec<(String, Tensor)>, TchError>,
    hint: &str,
) -> Result<Source> {
    let invalid = |found: String| Err(Error::data(path, "file", "named tensors", found, hint));
    match read {
        Ok(all) if all.is_empty() => invalid(format!("{format} without tensors")),
        Ok(all) => Ok(Source::Tensors(all.into_iter().collect())),
        Err(e) => {
            let reason = e.to_string();
            invalid(format!("{format} ({})", reason.lines().next().unwrap_or_default()))
        }
    }
}

impl Stored {
    fn from_file(entry: InFile) -> Self {
        Self {
            shape: entry.shape().to_vec(),
            kind: entry.kind(),
            dtype: entry.dtype().to_string(),
            left_out: false,
            data: Data::InFile(entry),
        }
    }

    fn from_tensor(tensor: &Tensor) -> Self {
        Self {
            shape: tensor.size().iter().map(|&n| n as usize).collect(),
            kind: Some(tensor.kind()),
            dtype: format!("{:?}", tensor.kind()),
            left_out: false,
            data: Data::Tensor(tensor.shallow_clone()),
        }
    }

    /// Another handle on the same tensor.
    pub(super) fn share(&self) -> Self {
        let data = match &self.data {
            Data::InFile(entry) => Data::InFile(entry.clone()),
            Data::Tensor(tensor) => Data::Tensor(tensor.shallow_clone()),
        };
        Self { shape: self.shape.clone(), dtype: self.dtype.clone(), data, ..*self }
    }

    /// Copies the values to `variable`, which has their shape.
    pub(super) fn copy_to(&self, name: &str, variable: &mut Tensor) -> Result<()> {
        match &self.data {
            Data::InFile(entry) => entry.read_into(variable),
            Data::Tensor(tensor) => {
                let _no_grad = tch::no_grad_guard();
                let copied = variable.f_copy_(tensor);
                copied.map_err(|e| Error::torch(format!("load {name:?}"), e))
            }
        }
    }
}
