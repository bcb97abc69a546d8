//! Tensors by name in a safetensors file, with text in its header.

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
use crate::{
    error::{Error, Result},
    transfer,
};

/// Writes `named` and the header's `about`, whole or not at all.
pub(crate) fn write(
    path: &Path,
    named: &[(String, &Tensor)],
    about: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<()> {
    let about: HashMap<String, String> =
        about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    let bytes = |(name, tensor): &(String, &Tensor)| {
        let failed = |source| Error::torch(format!("write {name:?}"), source);
        let dtype = Dtype::try_from(tensor.f_kind().map_err(failed)?).map_err(failed)?;
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        Ok((name.clone(), Bytes { dtype, shape, bytes: transfer::bytes(tensor)? }))
    };
    let named = named.iter().map(bytes).collect::<Result<Vec<_>>>()?;
    atomic::write(path, |unfinished| {
        safetensors::serialize_to_file(named, &Some(about), unfinished).map_err(|reason| {
            let source = match reason {
                SafeTensorError::IoError(source) => source,
                other => std::io::Error::other(format!("{other:?}")),
            };
            Error::io("write", unfinished, source)
        })
    })
}

/// One tensor's content on its way to a file.
struct Bytes {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl View for Bytes {
    fn dtype(&self) -> Dtype {
        self.dtype
    }
    fn shape(&self) -> &[usize] {
        &self.shape
    }
    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }
    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// A file that was read whole.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl TensorFile {
    /// # Errors
    /// [`Error::Io`] if it cannot be read.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).map_err(|source| Error::io("read", path, source))?;
        Ok(Self { path: path.to_path_buf(), bytes })
    }

    /// The header's text under `key`.
    pub(crate) fn about(&self, key: &str) -> Result<String> {
        let (_, metadata) = SafeTensors::read_metadata(&self.bytes).map_err(|e| self.foreign(e))?;
        let found = metadata.metadata().as_ref().and_then(|about| about.get(key)).cloned();
        found.ok_or_else(|| {
            let expected = format!("{key:?}");
            Error::data(&self.path, "header", expected, "none", "check the path")
        })
    }

    /// `text` of the header as the JSON that it should be.
    pub(crate) fn json<T: DeserializeOwned>(&self, what: &str, text: String) -> Result<T> {
        serde_json::from_str(&text).map_err(|e| {
            let expected = "what the library wrote";
            Error::data(&self.path, what, expected, e.to_string(), "take a copy that is whole")
        })
    }

    /// All tensors, on the host.
    pub(crate) fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        let file = SafeTensors::deserialize(&self.bytes).map_err(|e| self.foreign(e))?;
        let all = file.tensors().into_iter().map(|(name, view)| {
            let tensor = Tensor::try_from(view);
            Ok((name, tensor.map_err(|e| Error::torch("read a tensor of a file", e))?))
        });
        all.collect()
    }

    fn foreign(&self, reason: SafeTensorError) -> Error {
        Error::data(
            &self.path,
            "header",
            "a whole safetensors file",
            format!("{reason:?}"),
            "it is cut or another program's: check the path",
        )
    }
}
