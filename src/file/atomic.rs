//! Atomic writes: after a crash, a full disk or a power failure a path has its old content or its
//! complete new content.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::error::{Error, Result};

/// Writes the file at `path`: `write` creates it at a temporary path in the same folder, from which
/// it is renamed after an fsync.
pub(crate) fn write<T>(path: &Path, write: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    replace(path, |temporary| {
        let written = write(temporary)?;
        sync(temporary).map_err(|e| Error::io("flush", temporary, e))?;
        Ok(written)
    })
}

/// Writes the file at `path` with this content.
pub(crate) fn write_bytes(path: &Path, content: &[u8]) -> Result<()> {
    write(path, |temporary| {
        fs::write(temporary, content).map_err(|e| Error::io("write", temporary, e))
    })
}

/// Creates the folder `path`: `write` writes files into a temporary folder beside it, each by one
/// of the functions above. The folder is renamed after that.
pub(crate) fn write_folder(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    replace(path, |temporary| {
        fs::create_dir(temporary).map_err(|e| Error::io("create", temporary, e))?;
        write(temporary)
    })
}

/// Removes the folder `path` with its files.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    let temporary = temporary(path);
    let removed = fs::rename(path, &temporary).and_then(|()| fs::remove_dir_all(&temporary));
    removed.map_err(|e| Error::io("remove", path, e))
}

/// Returns whether `name` is a temporary name, left by a crash, for a name that begins with
/// `prefix`.
pub(crate) fn is_leftover(name: &str, prefix: &str) -> bool {
    name.strip_prefix('.').is_some_and(|name| name.starts_with(prefix) && name.ends_with(".part"))
}

/// Renames what `make` creates at a temporary path to `path`; removes it after an error.
fn replace<T>(path: &Path, make: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let temporary = temporary(path);
    let finish = || {
        let made = make(&temporary)?;
        fs::rename(&temporary, path).map_err(|e| Error::io("create", path, e))?;
        sync_parent(path).map(|()| made)
    };
    finish().inspect_err(|_| {
        let remove = if temporary.is_dir() { fs::remove_dir_all } else { fs::remove_file };
        let _ = remove(&temporary);
    })
}

/// A new path `.{name}.{process}.{count}.part` in the same folder, in which a rename is atomic.
fn temporary(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{count}.part", std::process::id()))
}

/// Fsyncs the parent folder of `path`, which makes a rename durable; only Unix can open a folder.
fn sync_parent(path: &Path) -> Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    sync(folder).map_err(|e| Error::io("flush", folder, e))
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
