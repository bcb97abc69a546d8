//! NumPy arrays as tensors.

use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use ndarray::{ArrayD, OwnedRepr};
use ndarray_npy::{NpzReader, ReadNpyError, ReadNpyExt, ReadNpzError, ReadableElement};
use tch::{Kind, Tensor, kind::Element};

use super::{
    elements::{Half, Unread, column, conversion, type_code, type_name},
    file::{Refusal, corrupted, list, open, tensor},
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

/// The element types of labels.
const INTEGERS: &str = "integers of 8 to 64 bits or bool";

impl<'r> Arrays<'r> {
    /// The archive that `reader` reads; errors name it `path`.
    pub(super) fn from_npz(path: &Path, mut reader: impl ReadSeek + 'r) -> Result<Self> {
        let mut start = Vec::new();
        let read = (&mut reader).take(64).read_to_end(&mut start);
        let rewound = read.and_then(|_| reader.seek(SeekFrom::Start(0)));
        rewound.map_err(|e| Error::io("read the file", path, e))?;
        if !start.starts_with(b"PK") {
            return Err(Refusal::from_start(&start).error(path, "arrays", "NumPy archive (.npz)"));
        }
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
        let element = self.element(name)?;
        match &*element {
            "u1" => self.read::<u8>(name),
            _ => match self.floats(name, &element)? {
                Some(floats) => Ok(floats),
                None => Err(self.wrong_element(name, "samples", "uint8 or floats", &element)),
            },
        }
    }

    /// Reads pixels or other bounded numbers of any shape and element type, `Uint8` or `Float`.
    pub(super) fn pixels(&mut self, name: &str) -> Result<Tensor> {
        let element = self.element(name)?;
        if element == "u1" {
            return self.read::<u8>(name);
        }
        match self.integers(name, &element)? {
            Some(integers) => Ok(integers.to_kind(Kind::Float)),
            None => self.samples(name),
        }
    }

    /// Reads class labels \[N\] as `Int64`.
    pub(super) fn labels(&mut self, name: &str) -> Result<Tensor> {
        let element = self.element(name)?;
        match self.integers(name, &element)? {
            Some(labels) => column(&self.path(name), name, labels),
            None => Err(self.wrong_element(name, "labels", INTEGERS, &element)),
        }
    }

    /// Reads targets \[N\]: class labels as `Int64`, or finite values as `Float`.
    pub(super) fn targets(&mut self, name: &str) -> Result<Tensor> {
        let element = self.element(name)?;
        if let Some(values) = self.floats(name, &element)? {
            return column(&self.path(name), name, values);
        }
        match self.integers(name, &element)? {
            Some(labels) => column(&self.path(name), name, labels),
            None => {
                let expected = format!("{INTEGERS}, or floats");
                Err(self.wrong_element(name, "labels", &expected, &element))
            }
        }
    }

    /// Reads zeros and ones of any shape and element type, as `Bool`.
    pub(super) fn flags(&mut self, name: &str) -> Result<Tensor> {
        let element = self.element(name)?;
        let numbers = match self.integers(name, &element)? {
            None => self.floats(name, &element)?,
            integers => integers,
        };
        let expected = "zeros and ones";
        let Some(numbers) = numbers else {
            return Err(self.wrong_element(name, "flags", expected, &element));
        };
        let ones = numbers.eq(1);
        let others = ones.logical_or(&numbers.eq(0)).logical_not();
        if others.any().int64_value(&[]) != 0 {
            let other = numbers.masked_select(&others).double_value(&[0]);
            let hint = "save 1 where a value is valid, and 0 elsewhere";
            return Err(Error::data(&self.path(name), "flags", expected, other, hint));
        }
        Ok(ones)
    }

    /// Reads an array of floats as `Float`; `None` for another element type.
    fn floats(&mut self, name: &str, element: &str) -> Result<Option<Tensor>> {
        Ok(Some(match element {
            "f2" => {
                let (values, shape) = self.array::<Half>(name)?;
                tensor(&values.iter().map(|half| half.0).collect::<Vec<_>>(), &shape)?
            }
            "f4" => self.read::<f32>(name)?,
            "f8" => self.read::<f64>(name)?.to_kind(Kind::Float),
            _ => return Ok(None),
        }))
    }

    /// Reads an array of integers or `bool` as `Int64`; `None` for another element type.
    fn integers(&mut self, name: &str, element: &str) -> Result<Option<Tensor>> {
        let (values, shape) = match element {
            "b1" => self.widened::<bool>(name)?,
            "i1" => self.widened::<i8>(name)?,
            "i2" => self.widened::<i16>(name)?,
            "i4" => self.widened::<i32>(name)?,
            "i8" => self.widened::<i64>(name)?,
            "u1" => self.widened::<u8>(name)?,
            "u2" => self.widened::<u16>(name)?,
            "u4" => self.widened::<u32>(name)?,
            "u8" => self.widened::<u64>(name)?,
            _ => return Ok(None),
        };
        tensor(&values, &shape).map(Some)
    }

    fn widened<T>(&mut self, name: &str) -> Result<(Vec<i64>, Vec<i64>)>
    where
        T: ReadableElement + TryInto<i64> + Copy + Display,
    {
        let (values, shape) = self.array::<T>(name)?;
        let widen = |&value: &T| {
            value.try_into().map_err(|_| {
                let (expected, hint) = (format!("at most {}", i64::MAX), "check the values");
                Error::data(&self.path(name), "integers", expected, value, hint)
            })
        };
        Ok((values.iter().map(widen).collect::<Result<_>>()?, shape))
    }

    fn read<T: ReadableElement + Element + Clone>(&mut self, name: &str) -> Result<Tensor> {
        let (values, shape) = self.array::<T>(name)?;
        tensor(&values, &shape)
    }

    /// The elements of an array in row-major order, and its shape.
    fn array<T: ReadableElement + Clone>(&mut self, name: &str) -> Result<(Vec<T>, Vec<i64>)> {
        let path = self.path(name);
        let array = self.array_or_element::<T>(name, &path)?;
        let array = array.map_err(|other| not_numpy(&path, type_name(&other)))?;
        let shape = array.shape().iter().map(|&n| n as i64).collect();
        let values = match array.is_standard_layout() {
            true => array.into_raw_vec_and_offset().0,
            false => array.iter().cloned().collect(),
        };
        Ok((values, shape))
    }

    /// The element type of an array: NumPy's code without the byte order, such as `f4`.
    fn element(&mut self, name: &str) -> Result<String> {
        let path = self.path(name);
        match self.array_or_element::<Unread>(name, &path)? {
            Ok(_) => Err(not_numpy(&path, "no element type")),
            Err(element) => Ok(element),
        }
    }

    /// An array, or its element type if that is not `T`.
    fn array_or_element<T: ReadableElement>(
        &mut self,
        name: &str,
        path: &Path,
    ) -> Result<std::result::Result<ArrayD<T>, String>> {
        let read = match self {
            Self::Folder(_) => {
                ArrayD::<T>::read_npy(BufReader::new(open(path)?)).map_err(ReadNpzError::Npy)
            }
            Self::Archive { reader, .. } => reader.by_name::<OwnedRepr<T>, _>(name),
        };
        match read {
            Ok(array) => Ok(Ok(array)),
            Err(ReadNpzError::Npy(ReadNpyError::WrongDescriptor(element))) => {
                Ok(Err(type_code(&element)))
            }
            Err(ReadNpzError::Npy(ReadNpyError::Io(e))) if !is_content(&e) => {
                Err(Error::io("read the file", path, e))
            }
            Err(error) => Err(self.unreadable(name, path, error)),
        }
    }

    /// The cause of an error of the reader.
    fn unreadable(&mut self, name: &str, path: &Path, error: ReadNpzError) -> Error {
        if let Self::Archive { path, .. } = self {
            let path = path.clone();
            return match self.names() {
                Ok(names) if !names.contains(name) => {
                    let (expected, found) = (format!("an array {name:?}"), format!("{names:?}"));
                    let hint = "save it under this name with `np.savez`";
                    Error::data(&path, "arrays", expected, found, hint)
                }
                _ => not_numpy(&path.join(name), error),
            };
        }
        let mut start = Vec::new();
        let _ = open(path).map(|file| file.take(64).read_to_end(&mut start));
        match start.starts_with(b"\x93NUMPY") {
            true => not_numpy(path, error),
            false => Refusal::from_start(&start).error(path, "array", "NumPy file"),
        }
    }

    fn wrong_element(&self, name: &str, what: &str, expected: &str, element: &str) -> Error {
        Error::data(&self.path(name), what, expected, type_name(element), conversion(element))
    }
}

/// Returns whether an error comes from the content of a file: its end, or a checksum of an archive.
fn is_content(error: &io::Error) -> bool {
    use ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | Other | UnexpectedEof)
}

fn not_numpy(path: &Path, found: impl Display) -> Error {
    corrupted(path, "array", "a complete NumPy file", found)
}
