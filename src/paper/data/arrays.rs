//! NumPy arrays as tensors.

use std::{
    collections::BTreeSet,
    fmt::Display,
    fs,
    io::{BufReader, ErrorKind, Read, Seek},
    path::{Path, PathBuf},
};

use ndarray::{ArrayD, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement};
use tch::{Kind, Tensor, kind::Element};

use super::file::{corrupted, open};
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
                Ok(names.into_iter().collect())
            }
            Self::Folder(folder) => {
                let failed = |e| Error::io("list the folder", folder, e);
                let entries = fs::read_dir(&*folder).map_err(failed)?;
                let paths: Vec<PathBuf> = entries
                    .map(|entry| Ok(entry?.path()))
                    .collect::<std::io::Result<_>>()
                    .map_err(failed)?;
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
        if labels.dim() != 1 {
            let (path, found) = (self.path(name), format!("{:?}", labels.size()));
            let hint = "save one class per sample";
            return Err(Error::data(&path, "labels", "the shape [N]", found, hint));
        }
        Ok(labels.to_kind(Kind::Int64))
    }

    /// Reads targets \[N\]: class labels as `Int64`, or finite values as `Float`.
    pub(super) fn targets(&mut self, name: &str) -> Result<Tensor> {
        let values = match self.read::<f32>(name)? {
            None => self.read::<f64>(name)?,
            values => values,
        };
        let Some(values) = values else { return self.labels(name) };
        if values.dim() != 1 || values.isfinite().all().int64_value(&[]) == 0 {
            let (path, found) = (self.path(name), format!("{:?}", values.size()));
            let hint = "save one value per sample, and omit samples without a value";
            return Err(Error::data(&path, "labels", "finite values [N]", found, hint));
        }
        Ok(values.to_kind(Kind::Float))
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
        Ok(self.read_any(name, &types, "flags", "bool, integers or floats")?.gt(0.5))
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
            Self::Folder(_) => ArrayD::read_npy(open(&path)?).map_err(ReadNpzError::Npy),
            Self::Archive { reader, .. } => reader.by_name::<OwnedRepr<T>, _>(name),
        };
        match read {
            Ok(array) => tensor(&path, &array).map(Some),
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(_))) => Ok(None),
            Err(ReadNpzError::Npy(ReadNpyError::Io(e))) if e.kind() != ErrorKind::UnexpectedEof => {
                Err(Error::io("read the file", &path, e))
            }
            Err(error) => Err(not_numpy(&path, error)),
        }
    }
}

fn tensor<T: Element + Clone>(path: &Path, array: &ArrayD<T>) -> Result<Tensor> {
    let shape: Vec<i64> = array.shape().iter().map(|&n| n as i64).collect();
    let standard = array.as_standard_layout();
    let slice = standard.as_slice().ok_or_else(|| not_numpy(path, "no contiguous layout"))?;
    Tensor::f_from_slice(slice)
        .and_then(|flat| flat.f_view(shape.as_slice()))
        .map_err(|source| Error::torch(format!("make a tensor of {}", path.display()), source))
}

fn not_numpy(path: &Path, found: impl Display) -> Error {
    corrupted(path, "array", "a complete NumPy file", found)
}
