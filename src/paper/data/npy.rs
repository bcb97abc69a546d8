//! NumPy arrays of the kinds that data sets come in, as tensors.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read, Seek},
    path::Path,
};

use ndarray::{ArrayD, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpzError, ReadableElement, read_npy};
use tch::{Kind, Tensor};

use crate::error::{Error, Result};

/// Where a named array is read from.
pub(super) trait Arrays {
    /// What to call the array in a message.
    fn path(&self, name: &str) -> std::path::PathBuf;

    /// Is there an array of this name?
    fn has(&mut self, name: &str) -> bool;

    /// Reads it as elements of `T`; `Ok(None)` if its elements are of another type.
    fn read<T: ReadableElement>(&mut self, name: &str) -> Result<Option<ArrayD<T>>>;

    /// Images or the like: bytes or floats of any shape.
    fn samples(&mut self, name: &str) -> Result<Tensor> {
        if let Some(array) = self.read::<u8>(name)? {
            return tensor(&self.path(name), array);
        }
        if let Some(array) = self.read::<f32>(name)? {
            return tensor(&self.path(name), array);
        }
        if let Some(array) = self.read::<f64>(name)? {
            return Ok(tensor(&self.path(name), array)?.to_kind(Kind::Float));
        }
        Err(foreign(&self.path(name), "samples", "uint8, float32 or float64"))
    }

    /// Class labels \[N\] as `Int64`.
    fn labels(&mut self, name: &str) -> Result<Tensor> {
        let labels = if let Some(array) = self.read::<i64>(name)? {
            tensor(&self.path(name), array)?
        } else if let Some(array) = self.read::<i32>(name)? {
            tensor(&self.path(name), array)?
        } else if let Some(array) = self.read::<u8>(name)? {
            tensor(&self.path(name), array)?
        } else {
            return Err(foreign(&self.path(name), "labels", "int64, int32 or uint8"));
        };
        if labels.dim() != 1 {
            let (path, found) = (self.path(name), format!("{:?}", labels.size()));
            return Err(Error::data(&path, "labels", "the shape [N]", found, "one class a sample"));
        }
        Ok(labels.to_kind(Kind::Int64))
    }

    /// Targets [N]: class labels as `Int64`, or values as `Float`.
    fn targets(&mut self, name: &str) -> Result<Tensor> {
        let values = if let Some(array) = self.read::<f32>(name)? {
            tensor(&self.path(name), array)?
        } else if let Some(array) = self.read::<f64>(name)? {
            tensor(&self.path(name), array)?
        } else {
            return self.labels(name);
        };
        if values.dim() != 1 || values.isfinite().all().int64_value(&[]) == 0 {
            let (path, found) = (self.path(name), format!("{:?}", values.size()));
            let hint = "one value a sample, and no sample without one";
            return Err(Error::data(&path, "labels", "finite values [N]", found, hint));
        }
        Ok(values.to_kind(Kind::Float))
    }

    /// Zeros and ones of any shape and number type, as `Bool`.
    fn flags(&mut self, name: &str) -> Result<Tensor> {
        if let Some(array) = self.read::<bool>(name)? {
            return tensor(&self.path(name), array);
        }
        if let Some(array) = self.read::<i64>(name)? {
            return Ok(tensor(&self.path(name), array)?.gt(0.5));
        }
        Ok(self.samples(name)?.gt(0.5))
    }
}

/// A folder of `.npy` files.
pub(super) struct Folder<'a>(pub &'a Path);

impl Arrays for Folder<'_> {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(format!("{name}.npy"))
    }

    fn has(&mut self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn read<T: ReadableElement>(&mut self, name: &str) -> Result<Option<ArrayD<T>>> {
        let path = self.path(name);
        if let Err(source) = File::open(&path) {
            return Err(Error::io("open the file", &path, source));
        }
        outcome(&path, read_npy(&path))
    }
}

/// The arrays in one `.npz`.
pub(super) struct Archive<R: Read + Seek> {
    pub(super) file: std::path::PathBuf,
    reader: NpzReader<R>,
}

impl<R: Read + Seek> Archive<BufReader<R>> {
    pub(super) fn new(file: &Path, reader: R) -> Result<Self> {
        let reader =
            NpzReader::new(BufReader::new(reader)).map_err(|e| damaged(file, &e.to_string()))?;
        Ok(Self { file: file.to_path_buf(), reader })
    }
}

impl<R: Read + Seek> Archive<R> {
    /// The arrays' names.
    pub(super) fn names(&mut self) -> Result<Vec<String>> {
        let names = self.reader.names().map_err(|e| damaged(&self.file, &e.to_string()))?;
        Ok(names.iter().map(|name| name.trim_end_matches(".npy").to_owned()).collect())
    }
}

impl<R: Read + Seek> Arrays for Archive<R> {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.file.join(name)
    }

    fn has(&mut self, name: &str) -> bool {
        self.reader
            .names()
            .is_ok_and(|names| names.iter().any(|n| n.trim_end_matches(".npy") == name))
    }

    fn read<T: ReadableElement>(&mut self, name: &str) -> Result<Option<ArrayD<T>>> {
        let read = self.reader.by_name::<OwnedRepr<T>, _>(&format!("{name}.npy"));
        let path = self.path(name);
        match read {
            Ok(array) => Ok(Some(array)),
            Err(ReadNpzError::Npy(error)) => outcome(&path, Err(error)),
            Err(ReadNpzError::Zip(error)) => Err(damaged(&path, &error.to_string())),
        }
    }
}

/// Tells another element type from a file that cannot be read.
fn outcome<T>(
    path: &Path,
    read: std::result::Result<ArrayD<T>, ReadNpyError>,
) -> Result<Option<ArrayD<T>>> {
    match read {
        Ok(array) => Ok(Some(array)),
        Err(ReadNpyError::WrongDescriptor(_)) => Ok(None),
        Err(ReadNpyError::Io(source)) if source.kind() != ErrorKind::UnexpectedEof => {
            Err(Error::io("read the file", path, source))
        }
        Err(error) => Err(damaged(path, &error.to_string())),
    }
}

fn tensor<T: tch::kind::Element + Clone>(path: &Path, array: ArrayD<T>) -> Result<Tensor> {
    let shape: Vec<i64> = array.shape().iter().map(|&n| n as i64).collect();
    let standard = array.as_standard_layout();
    let slice = standard.as_slice().ok_or_else(|| damaged(path, "no contiguous layout"))?;
    Tensor::f_from_slice(slice)
        .and_then(|flat| flat.f_view(shape.as_slice()))
        .map_err(|source| Error::torch(format!("make a tensor of {}", path.display()), source))
}

fn damaged(path: &Path, found: &str) -> Error {
    Error::data(path, "array", "a whole NumPy file", found, "fetch or make the file again")
}

fn foreign(path: &Path, what: &str, expected: &str) -> Error {
    Error::data(path, what, expected, "another element type", "convert the array and save it again")
}
