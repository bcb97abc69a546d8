//! Named tensors in a safetensors file, written and read piece by piece: beside the tensors themselves
//! neither needs more than a few MiB, so that a model of any size fits where it was trained.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use safetensors::{
    Dtype, SafeTensorError, SafeTensors,
    tensor::{Metadata, TensorInfo},
};
use serde::de::DeserializeOwned;
use tch::{Device, Kind, TchError, Tensor};

use super::{
    atomic,
    dtype::{dtype_of, kind_of},
    fault::{Fault, LONGEST},
};
use crate::error::{Error, Result};
use crate::transfer;

/// The number of bytes of a piece: a multiple of the size of every dtype.
const PIECE: usize = 1 << 22;

/// Atomically writes tensors by name, and texts by key in the header.
pub(crate) fn write<'t>(
    path: &Path,
    tensors: impl IntoIterator<Item = (String, &'t Tensor)>,
    header: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<()> {
    let texts: HashMap<String, String> =
        header.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
    let entry = |(name, tensor): (String, &'t Tensor)| match tensor.f_kind().and_then(dtype_of) {
        Ok(dtype) => Ok((name, dtype, tensor)),
        Err(e) => Err(Error::torch(format!("write {name:?}"), e)),
    };
    let mut entries = tensors.into_iter().map(entry).collect::<Result<Vec<_>>>()?;
    // The order of the safetensors library, which aligns every tensor.
    entries.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    atomic::write(path, |temporary| {
        let io = |e| Error::io("write", temporary, e);
        let prefix = prefix(&entries, texts).map_err(|e| io(io::Error::other(e)))?;
        let mut file = BufWriter::new(File::create(temporary).map_err(io)?);
        file.write_all(&prefix).map_err(io)?;
        for (name, _, tensor) in &entries {
            let host = transfer::to_host(tensor)?;
            for_each_piece(&host, |piece| {
                let count = piece.numel();
                let mut bytes = vec![0; count * piece.f_kind()?.elt_size_in_bytes()];
                piece.f_copy_data_u8(&mut bytes, count)?;
                Ok(file.write_all(&bytes))
            })
            .map_err(|e| Error::torch(format!("write {name:?}"), e))?
            .map_err(io)?;
        }
        file.flush().map_err(io)
    })
}

/// The bytes before the tensors: the length of the header, and the header.
fn prefix(
    entries: &[(String, Dtype, &Tensor)],
    texts: HashMap<String, String>,
) -> std::result::Result<Vec<u8>, SafeTensorError> {
    let mut at = 0;
    let info = |(name, dtype, tensor): &(String, Dtype, &Tensor)| {
        let from = at;
        at += tensor.numel() * dtype.bitsize() / 8;
        let shape = tensor.size().iter().map(|&n| n as usize).collect();
        (name.clone(), TensorInfo { dtype: *dtype, shape, data_offsets: (from, at) })
    };
    let infos = entries.iter().map(info).collect();
    let header = Metadata::new((!texts.is_empty()).then_some(texts), infos)?;
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() as u64 > LONGEST {
        return Err(SafeTensorError::HeaderTooLarge);
    }
    Ok([&(header.len() as u64).to_le_bytes(), &header[..]].concat())
}

/// Passes the pieces of a contiguous tensor, in order, until one is an I/O error.
fn for_each_piece(
    tensor: &Tensor,
    mut each: impl FnMut(&mut Tensor) -> std::result::Result<io::Result<()>, TchError>,
) -> std::result::Result<io::Result<()>, TchError> {
    let flat = tensor.f_detach()?.f_view([-1])?;
    let (count, most) = (flat.numel() as i64, PIECE / tensor.f_kind()?.elt_size_in_bytes());
    for from in (0..count).step_by(most) {
        let mut piece = flat.f_narrow(0, from, (most as i64).min(count - from))?;
        if let Err(error) = each(&mut piece)? {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// A safetensors file. Its header is in memory, its tensors are read from the file when they are needed.
#[derive(Debug)]
pub(crate) struct TensorFile {
    path: PathBuf,
    file: File,
    header: Metadata,
    /// The offset of the tensors.
    start: u64,
}

impl TensorFile {
    /// Opens the file, and reads and checks its header.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Data`] if it is invalid.
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>> {
        let open = || {
            let file = File::open(path)?;
            let header = header(&file)?;
            Ok((file, header))
        };
        let (file, header) = open().map_err(|e| Error::io("read", path, e))?;
        let (header, start) = header.ok_or_else(|| invalid(path))?;
        Ok(Arc::new(Self { path: path.to_path_buf(), file, header, start }))
    }

    /// The texts of the header, by key.
    pub(crate) fn texts(&self) -> HashMap<String, String> {
        self.header.metadata().clone().unwrap_or_default()
    }

    /// Parses the JSON text under `key` of the header.
    pub(crate) fn header<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let texts = self.texts();
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

    /// The tensors by name, which are not read yet.
    pub(crate) fn entries(self: &Arc<Self>) -> BTreeMap<String, InFile> {
        let entry = |(name, info): (String, &TensorInfo)| {
            (name, InFile { file: Arc::clone(self), info: info.clone() })
        };
        self.header.tensors().into_iter().map(entry).collect()
    }

    /// Reads all tensors to host memory.
    ///
    /// # Errors
    /// [`Error::Data`] for a tensor of a dtype that tch does not have, [`Error::Io`].
    pub(crate) fn tensors(self: &Arc<Self>) -> Result<BTreeMap<String, Tensor>> {
        let read = |(name, entry): (String, InFile)| match entry.kind() {
            Some(_) => Ok((name, entry.read()?)),
            None => {
                let (what, found) = (format!("tensor {name:?}"), entry.dtype());
                let hint = "convert the tensor in Python, for example with `tensor.float()`";
                Err(Error::data(&self.path, what, "a dtype of tch", found, hint))
            }
        };
        self.entries().into_iter().map(read).collect()
    }
}

/// A tensor of a file, which is not read yet.
#[derive(Debug, Clone)]
pub(crate) struct InFile {
    file: Arc<TensorFile>,
    info: TensorInfo,
}

impl InFile {
    pub(crate) fn dtype(&self) -> Dtype {
        self.info.dtype
    }

    /// Its dtype in tch; `None` if tch does not have it.
    pub(crate) fn kind(&self) -> Option<Kind> {
        kind_of(self.info.dtype)
    }

    pub(crate) fn shape(&self) -> &[usize] {
        &self.info.shape
    }

    /// The tensor, in host memory.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Torch`] for a dtype that tch does not have.
    pub(crate) fn read(&self) -> Result<Tensor> {
        let empty = || {
            let size = self.shape().iter().map(|&n| n as i64).collect::<Vec<_>>();
            Tensor::f_empty(&size, (self.known_kind()?, Device::Cpu))
        };
        let tensor = empty().map_err(|e| self.failed(e))?;
        self.read_into(&tensor)?;
        Ok(tensor)
    }

    /// Reads the values into `tensor` of the same shape, whose device and dtype may be others.
    ///
    /// # Errors
    /// As [`read`](Self::read); a part of the values has changed then.
    pub(crate) fn read_into(&self, tensor: &Tensor) -> Result<()> {
        let _no_grad = tch::no_grad_guard();
        if !tensor.is_contiguous() {
            let copied = tensor.shallow_clone().f_copy_(&self.read()?);
            return copied.map_err(|e| self.failed(e));
        }
        let mut file = &self.file.file;
        let from = self.file.start + self.info.data_offsets.0 as u64;
        file.seek(SeekFrom::Start(from)).map_err(|e| self.unreadable(e))?;
        let mut read = || {
            let kind = self.known_kind()?;
            for_each_piece(tensor, |piece| {
                let mut bytes = vec![0; piece.numel() * kind.elt_size_in_bytes()];
                if let Err(error) = file.read_exact(&mut bytes) {
                    return Ok(Err(error));
                }
                let values = Tensor::f_from_data_size(&bytes, &piece.size(), kind)?;
                piece.f_copy_(&values).map(|_| Ok(()))
            })
        };
        read().map_err(|e| self.failed(e))?.map_err(|e| self.unreadable(e))
    }

    fn known_kind(&self) -> std::result::Result<Kind, TchError> {
        let unknown = || TchError::Convert(format!("tch has no dtype for {}", self.dtype()));
        self.kind().ok_or_else(unknown)
    }

    fn failed(&self, source: TchError) -> Error {
        Error::torch(format!("read {}", self.file.path.display()), source)
    }

    fn unreadable(&self, source: io::Error) -> Error {
        Error::io("read", &self.file.path, source)
    }
}

/// The header of a file and the offset of its tensors; `None` if the file is invalid.
fn header(mut file: &File) -> io::Result<Option<(Metadata, u64)>> {
    let length = file.metadata()?.len();
    let mut prefix = [0; 8];
    if length < 8 {
        return Ok(None);
    }
    file.read_exact(&mut prefix)?;
    let size = u64::from_le_bytes(prefix);
    if size > LONGEST.min(length - 8) {
        return Ok(None);
    }
    let mut text = vec![0; size as usize];
    file.read_exact(&mut text)?;
    let start = 8 + size;
    // Parsing checks that the tensors follow each other without gaps.
    let header = serde_json::from_slice::<Metadata>(&text).ok();
    Ok(header.filter(|h| start + h.data_len() as u64 == length).map(|header| (header, start)))
}

/// The error of an invalid file.
fn invalid(path: &Path) -> Error {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) => return Error::io("read", path, e),
    };
    let reason = SafeTensors::deserialize(&bytes).err();
    let reason = reason.unwrap_or(SafeTensorError::MetadataIncompleteBuffer);
    let Fault { found, hint } = Fault::from_bytes(&bytes, &reason);
    Error::data(path, "file", "a valid safetensors file", found, hint)
}
