//! Named tensors in a safetensors file.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensorError, SafeTensors, View};
use serde::de::DeserializeOwned;
use tch::Tensor;

use super::{
    atomic,
    dtype::{dtype_of, to_tensor},
    fault::Fault,
};
use crate::error::{Error, Result};
use crate::transfer;

/// Atomically writes tensors by name, and texts by key in the header.
pub(crate) fn write<'t>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, &'t Tensor)>,
    header: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<()> {
    let header: HashMap<String, String> =
        header.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
    let header = (!header.is_empty()).then_some(header);
    let entry = |(name, tensor): (String, &Tensor)| {
        let host = transfer::to_host(tensor)?;
        let dtype = host.f_kind().and_then(dtype_of);
        let dtype = dtype.map_err(|e| Error::torch(format!("write {name:?}"), e))?;
        let shape = host.size().iter().map(|&n| n as usize).collect();
        Ok((name, Entry { dtype, shape, host }))
    };
    let entries = tensors.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
    atomic::write(path, |temporary| {
        safetensors::serialize_to_file(entries, header, temporary).map_err(|reason| {
            let source = match reason {
                SafeTensorError::IoError(source) => source,
                other => std::io::Error::other(other),
            };
            Error::io("write", temporary, source)
        })
    })
}

/// A tensor of a file that is written.
struct Entry {
    dtype: Dtype,
    shape: Vec<usize>,
    /// In host memory and contiguous.
    host: Tensor,
}

impl View for Entry {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        self.host.copy_data_u8(&mut bytes, self.host.numel());
        bytes.into()
    }

    fn data_len(&self) -> usize {
        self.host.numel() * self.dtype.bitsize() / 8
    }
}

/// The content of a safetensors file.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl TensorFile {
    /// Reads the file into memory.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|e| Error::io("read", path, e))?;
        Ok(Self { path: path.to_path_buf(), bytes })
    }

    /// Parses the file: names, dtypes, shapes and bytes of its tensors.
    pub(crate) fn parse(&self) -> Result<SafeTensors<'_>> {
        SafeTensors::deserialize(&self.bytes).map_err(|e| self.invalid(e))
    }

    /// The texts of the header, by key.
    pub(crate) fn texts(&self) -> Result<HashMap<String, String>> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).map_err(|e| self.invalid(e))?;
        Ok(header.metadata().clone().unwrap_or_default())
    }

    /// Parses the JSON text under `key` of the header.
    pub(crate) fn header<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let texts = self.texts()?;
        let text = texts.get(key).ok_or_else(|| {
            let expected = format!("the key {key:?}");
            let hint = "another program wrote the file, or g2d for another purpose: check the path";
            Error::data(&self.path, "header", expected, "no such key", hint)
        })?;
        serde_json::from_str(text).map_err(|e| {
            let expected = "the JSON that g2d writes";
            Error::data(&self.path, key, expected, e, "the header was changed: use another copy")
        })
    }

    /// Copies all tensors to host memory.
    ///
    /// # Errors
    /// [`Error::Data`] for an invalid file, or a tensor of a dtype that tch does not have.
    pub(crate) fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let copy = |(name, view)| match to_tensor(&view) {
            Ok(tensor) => Ok((name, tensor)),
            Err(e) => {
                let (what, found) = (format!("tensor {name:?}"), format!("{} ({e})", view.dtype()));
                let hint = "convert the tensor in Python, for example with `tensor.float()`";
                Err(Error::data(&self.path, what, "a dtype of tch", found, hint))
            }
        };
        self.parse()?.tensors().into_iter().map(copy).collect()
    }

    fn invalid(&self, reason: SafeTensorError) -> Error {
        let Fault { found, hint } = Fault::from_bytes(&self.bytes, &reason);
        Error::data(&self.path, "file", "a valid safetensors file", found, hint)
    }
}
