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

use super::atomic;
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
        let dtype = host.f_kind().and_then(Dtype::try_from);
        let dtype = dtype.map_err(|e| Error::torch(format!("write {name:?}"), e))?;
        let shape = host.size().iter().map(|&n| n as usize).collect();
        Ok((name, Entry { dtype, shape, host }))
    };
    let entries = tensors.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
    atomic::write(path, |temporary| {
        safetensors::serialize_to_file(entries, &header, temporary).map_err(|reason| {
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
        self.host.numel() * self.dtype.size()
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

    /// Parses the JSON text under `key` of the header.
    pub(crate) fn header<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let (_, header) = SafeTensors::read_metadata(&self.bytes).map_err(|e| self.invalid(e))?;
        let text =
            header.metadata().as_ref().and_then(|texts| texts.get(key)).ok_or_else(|| {
                let expected = format!("the key {key:?}");
                Error::data(&self.path, "header", expected, "no such key", "check the path")
            })?;
        serde_json::from_str(text).map_err(|e| {
            let expected = "the JSON that g2d writes";
            Error::data(&self.path, key, expected, e, "use a complete copy of the file")
        })
    }

    /// Copies all tensors to host memory.
    pub(crate) fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let file = self.parse()?;
        let copy = |(name, view)| Tensor::try_from(view).map(|tensor| (name, tensor));
        let tensors = file.tensors().into_iter().map(copy).collect::<std::result::Result<_, _>>();
        tensors.map_err(|e| Error::torch(format!("read {}", self.path.display()), e))
    }

    fn invalid(&self, reason: SafeTensorError) -> Error {
        let expected = "a complete safetensors file";
        let hint = "check the path and the copy; convert a .pth file with \
                    `safetensors.torch.save_file`";
        Error::data(&self.path, "header", expected, reason, hint)
    }
}
