//! The tensors of a file of weights.

use std::{collections::BTreeMap, path::Path};

use safetensors::tensor::TensorView;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::{Error, Result};
use crate::file::{
    dtype::{kind_of, to_tensor},
    format::Format,
    tensors::TensorFile,
};

/// The content of a file of weights.
pub(super) enum Source {
    Safetensors(TensorFile),
    /// A file that libtorch has read.
    Tensors(BTreeMap<String, Tensor>),
}

/// A tensor of a file.
#[derive(Debug)]
pub(super) struct Stored<'f> {
    pub(super) shape: Vec<usize>,
    /// `None` for a dtype that tch does not have.
    pub(super) kind: Option<Kind>,
    /// The name of the dtype in the file.
    pub(super) dtype: String,
    /// Whether `safetensors.torch.save_model` left the tensor out, because it shares its memory with
    /// another one, which is here in its place.
    pub(super) left_out: bool,
    data: Data<'f>,
}

#[derive(Debug)]
enum Data<'f> {
    View(TensorView<'f>),
    Tensor(Tensor),
}

impl Source {
    /// Reads a safetensors file.
    pub(super) fn from_safetensors(path: &Path) -> Result<Self> {
        TensorFile::read(path).map(Self::Safetensors)
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
    pub(super) fn tensors(&self) -> Result<BTreeMap<String, Stored<'_>>> {
        let file = match self {
            Self::Safetensors(file) => file,
            Self::Tensors(all) => {
                let stored = |(name, t): (&String, _)| (name.clone(), Stored::from_tensor(t));
                return Ok(all.iter().map(stored).collect());
            }
        };
        let views = file.parse()?.tensors().into_iter();
        let mut all: BTreeMap<_, _> =
            views.map(|(name, view)| (name, Stored::from_view(view))).collect();
        // The header lists the tensors that were left out.
        for (name, shared) in file.texts()? {
            if let Some(shared) = all.get(&shared).filter(|_| !all.contains_key(&name)) {
                let stored = Stored { left_out: true, ..shared.share() };
                all.insert(name, stored);
            }
        }
        Ok(all)
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

impl<'f> Stored<'f> {
    fn from_view(view: TensorView<'f>) -> Self {
        let (shape, dtype) = (view.shape().to_vec(), view.dtype());
        Self {
            shape,
            kind: kind_of(dtype),
            dtype: dtype.to_string(),
            left_out: false,
            data: Data::View(view),
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
            Data::View(view) => Data::View(view.clone()),
            Data::Tensor(tensor) => Data::Tensor(tensor.shallow_clone()),
        };
        Self { shape: self.shape.clone(), dtype: self.dtype.clone(), data, ..*self }
    }

    /// The tensor, in host memory.
    pub(super) fn read(&self) -> std::result::Result<Tensor, TchError> {
        match &self.data {
            Data::View(view) => to_tensor(view),
            Data::Tensor(tensor) => Ok(tensor.detach()),
        }
    }
}
