//! NumPy arrays as tensors.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{BufReader, ErrorKind, Read, Seek},
    path::{Path, PathBuf},
};

use ndarray::{ArrayD, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement};
use tch::{Kind, Tensor, kind::Element};

use super::{
    file::{corrupted, list, open, tensor},
    hidden::is_hidden,
};
use crate::error::{Error, Result};

/// A seekable reader.
pub(super) trait ReadSeek: Read + Seek {}

impl<R: Read + Seek> ReadSeek for R {}

/// Named arrays: the `.npy` files of a folder, or the arrays of an `.npz` archive.
pub(super) enum Arrays<'r> {
    Folder(PathBuf),
    Archive { path: PathBuf, reader: NpzReader<Box<dyn ReadSeek + 'r>> },
}

/// Reads the array of a name; `Ok(None)` if it has another element type.
type ReadAs<'r> = fn(&mut Arrays<'r>, &str) -> Result<Option<Tensor>>;

impl<'r> Arrays<'r> {
    /// The archive that `reader` reads; errors name it `path`.
    pub(super) fn from_npz(path: &Path, reader: impl ReadSeek + 'r) -> Result<Self> {
        let reader: Box<dyn ReadSeek + 'r> = Box::new(reader);
        let reader = NpzReader::new(reader).map_err(|e| not_numpy(path, e))?;
        Ok(Self::Archive { path: path.to_owned(), reader })
    }

    /// The folder `name` below `folder`, or else the archive `name.npz`.
    pub(super) fn from_split(folder: &Path, name: &str) -> Result<Self> {
        let (path, archive) = (folder.join(name), folder.join(format!("{name}.npz")));
        if path.is_dir() {
            return Ok(Self::Folder(path));
        }
        Self::from_npz(&archive, BufReader::new(open(&archive)?))
    }

    /// The path of an array, for error messages.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(format!("{name}.npy")),
            Self::Archive { path, .. } => path.join(name),
        }
    }

    /// Returns the names of all arrays.
    pub(super) fn names(&mut self) -> Result<BTreeSet<String>> {
        match self {
            Self::Archive { path, reader } => {
                let names = reader.names().map_err(|e| not_numpy(path, e))?;
                let is_hidden =
                    |name: &String| Path::new(name).iter().any(|part| is_hidden(part.as_ref()));
                Ok(names.into_iter().filter(|name| !is_hidden(name)).collect())
            }
            Self::Folder(folder) => {
                let paths = list(folder).map_err(|e| Error::io("list the folder", folder, e))?;
                let arrays = paths.iter().filter(|path| path.extension() == Some("npy".as_ref()));
                let stems = arrays.filter_map(|path| path.file_stem()?.to_str());
                Ok(stems.map(str::to_owned).collect())
            }
        }
    }

    /// Returns whether there is an array of this name.
    pub(super) fn has(&mut self, name: &str) -> bool {
        match self {
            Self::Folder(_) => self.path(name).exists(),
            Self::Archive { .. } => self.names().is_ok_and(|names| names.contains(name)),
        }
    }

    /// Reads samples of any shape, `Uint8` or `Float`.
    pub(super) fn samples(&mut self, name: &str) -> Result<Tensor> {
        let types: [ReadAs<'r>; 3] = [Self::read::<u8>, Self::read::<f32>, Self::read::<f64>];
        let samples = self.read_any(name, &types, "samples", "uint8, float32 or float64")?;
        let double = samples.kind() == Kind::Double;
        Ok(if double { samples.to_kind(Kind::Float) } else { samples })
    }

    /// Reads class labels \[N\] as `Int64`.
    pub(super) fn labels(&mut self, name: &str) -> Result<Tensor> {
        let types: [ReadAs<'r>; 3] = [Self::read::<i64>, Self::read::<i32>, Self::read::<u8>];
        let labels = self.read_any(name, &types, "labels", "int64, int32 or uint8")?;
        self.column(name, labels, Kind::Int64)
    }

    /// Reads targets \[N\]: class labels as `Int64`, or finite values as `Float`.
    pub(super) fn targets(&mut self, name: &str) -> Result<Tensor> {
        let values = match self.read::<f32>(name)? {
            None => self.read::<f64>(name)?,
            values => values,
        };
        let Some(values) = values else { return self.labels(name) };
        self.column(name, values, Kind::Float)
    }

    /// Checks that `values` are finite and \[N\], and converts them.
    fn column(&self, name: &str, values: Tensor, kind: Kind) -> Result<Tensor> {
        if values.dim() == 1 && values.isfinite().all().int64_value(&[]) != 0 {
            return Ok(values.to_kind(kind));
        }
        let (path, found) = (self.path(name), format!("{:?}", values.size()));
        let hint = "save one value per sample, and omit samples without a value";
        Err(Error::data(&path, name, "finite values [N]", found, hint))
    }

    /// Reads zeros and ones of any shape and element type, as `Bool`.
    pub(super) fn flags(&mut self, name: &str) -> Result<Tensor> {
        let types: [ReadAs<'r>; 5] = [
            Self::read::<bool>,
            Self::read::<i64>,
            Self::read::<u8>,
            Self::read::<f32>,
            Self::read::<f64>,
        ];
        let flags = self.read_any(name, &types, "flags", "bool, integers or floats")?;
        let others = flags.ne(0).logical_and(&flags.ne(1));
        if others.any().int64_value(&[]) != 0 {
            let found = flags.to_kind(Kind::Double).masked_select(&others).double_value(&[0]);
            let hint = "save 1 for a valid step and 0 for padding";
            return Err(Error::data(&self.path(name), "flags", "0 and 1", found, hint));
        }
        Ok(flags.gt(0.5))
    }

    /// Reads an array of one of several element types.
    fn read_any(
        &mut self,
        name: &str,
        types: &[ReadAs<'r>],
        what: &str,
        expected: &str,
    ) -> Result<Tensor> {
        for read in types {
            if let Some(tensor) = read(self, name)? {
                return Ok(tensor);
            }
        }
        let hint = "convert the array and save it again";
        Err(Error::data(&self.path(name), what, expected, "another element type", hint))
    }

    fn read<T: ReadableElement + Element + Clone>(&mut self, name: &str) -> Result<Option<Tensor>> {
        let path = self.path(name);
        let read = match self {
            Self::Folder(_) => ArrayD::<T>::read_npy(open(&path)?).map_err(ReadNpzError::Npy),
            Self::Archive { reader, .. } => reader.by_name::<OwnedRepr<T>, _>(name),
        };
        match read {
            Ok(array) => {
                let shape: Vec<i64> = array.shape().iter().map(|&n| n as i64).collect();
                let array = array.as_standard_layout();
                let values = array.as_slice().ok_or_else(|| not_numpy(&path, "strides"))?;
                tensor(values, &shape).map(Some)
            }
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => Ok(None),
            Err(ReadNpzError::Npy(ReadNpyError::Io(e))) if e.kind() != ErrorKind::UnexpectedEof => {
                Err(Error::io("read the file", &path, e))
            }
            Err(error) => Err(not_numpy(&path, error)),
        }
    }
}

fn not_numpy(path: &Path, found: impl Display) -> Error {
    corrupted(path, "array", "a complete NumPy file", found)
}
