//! Helpers of the readers of files.

use std::{
    fmt::Display,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tch::{Tensor, kind::Element};

use super::{
    content::{PAGE, POINTER, known_format},
    hidden::is_hidden,
};
use crate::error::{Error, Result};

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open the file", path, e))
}

/// Returns the bytes of a file.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = io::Read::read_to_end(&mut open(path)?, &mut bytes);
    read.map_err(|e| Error::io("read the file", path, e))?;
    Ok(bytes)
}

/// Returns the paths in a folder, without hidden files.
pub(super) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    paths.filter(|path| !path.as_ref().is_ok_and(|path| is_hidden(path))).collect()
}

/// A tensor of `values` in row-major order.
pub(super) fn tensor<T: Element>(values: &[T], shape: &[i64]) -> Result<Tensor> {
    let tensor = Tensor::f_from_slice(values).and_then(|flat| flat.f_view(shape));
    tensor.map_err(|e| Error::torch("make a tensor of data", e))
}

/// A file that is truncated, corrupted, or of another format.
pub(super) fn corrupted(
    path: &Path,
    what: impl Display,
    expected: impl Display,
    found: impl Display,
) -> Error {
    Error::data(path, what, expected, found, "download or convert the file again")
}

/// Why a decoder refuses the content of a file.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The file is not as its encoder wrote it, or is of no known format.
    Damaged(String),
    /// The file may be whole, but its form is not supported; the text names the form.
    NotSupported(String),
}

impl Refusal {
    /// The error of this refusal of the `what` in the file at `path`, where the `formats` are read.
    pub fn error(self, path: &Path, what: &str, formats: &str) -> Error {
        match self {
            Self::Damaged(found) => corrupted(path, what, format!("a complete {formats}"), found),
            Self::NotSupported(found) => {
                let expected = format!("a supported {formats}");
                let (found, hint) =
                    (format!("{found}, which is not supported"), "convert the file");
                Error::data(path, what, expected, found, hint)
            }
        }
    }

    /// The refusal of a file that does not begin as one of the formats that are read.
    pub fn from_start(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().all(|&byte| byte == 0);
        match known_format(bytes) {
            Some(POINTER) => Self::Damaged(format!("{POINTER} (run `git lfs pull`)")),
            Some(PAGE) => Self::Damaged(format!("{PAGE}, as servers send in place of a file")),
            Some(name) => Self::NotSupported(name.to_owned()),
            None if bytes.is_empty() => Self::Damaged("an empty file".to_owned()),
            None if zeros => Self::Damaged(format!("{} bytes, all of them 0", bytes.len())),
            None => Self::Damaged("bytes of no known format".to_owned()),
        }
    }
}

/// The file name extension in lower case, or an empty string.
pub(super) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}
