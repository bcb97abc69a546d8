//! File operations of the recorders.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::Path,
};

use crate::error::{Error, Result};
use crate::file::atomic;

/// Creates or truncates a file, and creates its parent directories.
pub(super) fn create(path: &Path) -> Result<File> {
    create_parents(path)?;
    File::create(path).map_err(|e| Error::io("create the file", path, e))
}

/// Replaces a file atomically, and creates its parent directories.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    create_parents(path)?;
    atomic::write_bytes(path, content)
}

/// Opens a file to append lines. Removes a truncated last line and the lines for which `keep` returns
/// false. Creates the file if it does not exist.
pub(super) fn reopen(
    path: &Path,
    mut keep: impl FnMut(usize, &str) -> Result<bool>,
) -> Result<File> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return create(path),
        Err(e) => return Err(Error::io("read the file", path, e)),
    };
    let mut kept = String::with_capacity(text.len());
    for (i, line) in text.split_inclusive('\n').enumerate() {
        if line.ends_with('\n') && keep(i, line.trim_end())? {
            kept.push_str(line);
        }
    }
    if kept.len() < text.len() {
        replace(path, kept.as_bytes())?;
    }
    let open = File::options().append(true).open(path);
    open.map_err(|e| Error::io("open the file", path, e))
}

/// Removes a file if it exists.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove the file", path, e)),
        _ => Ok(()),
    }
}

fn create_parents(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))
}
