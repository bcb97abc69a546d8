//! Files that a crash leaves whole.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::Path,
};

use crate::{
    error::{Error, Result},
    file::atomic,
};

/// Creates (or replaces) a file, and the folders it lies in.
pub(super) fn create(path: &Path) -> Result<File> {
    create_folder_of(path)?;
    File::create(path).map_err(|e| Error::io("create the file", path, e))
}

/// Writes a file whole or not at all, in the folders it lies in.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    create_folder_of(path)?;
    atomic::write_bytes(path, content)
}

/// Opens a file of lines to add to it, without the lines that `keep` does not want and without a
/// last line that was cut off; a new file where there is none.
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

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove the file", path, e)),
        _ => Ok(()),
    }
}

fn create_folder_of(path: &Path) -> Result<()> {
    let Some(folder) = path.parent() else { return Ok(()) };
    fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))
}
