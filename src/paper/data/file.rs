//! Opening of data files, and the error of a corrupted one.

use std::{fmt::Display, fs::File, path::Path};

use crate::error::{Error, Result};

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("open the file", path, e))
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
