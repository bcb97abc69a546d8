//! Helpers of the readers of files.

use std::{
    fmt::Display,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use tch::{Tensor, kind::Element};

use super::hidden::is_hidden;
use crate::error::{Error, Result};

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open the file", path, e))
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

/// The file name extension in lower case, or an empty string.
pub(super) fn extension(path: &Path) -> String {
    path.extension().map(|e| e.to_string_lossy().to_lowercase()).unwrap_or_default()
}
