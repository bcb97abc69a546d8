//! A file that is there whole or not at all.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use crate::error::{Error, Result};

/// Lets `write` make a file beside `path`, flushes it to disk and renames it to `path`; the folder is
/// flushed too, so that the name outlives a power cut.
pub(crate) fn write<T>(path: &Path, write: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let unfinished = beside(path);
    let finish = || {
        let written = write(&unfinished)?;
        let flushed = File::open(&unfinished).and_then(|file| file.sync_all());
        flushed.map_err(|source| Error::io("flush", &unfinished, source))?;
        fs::rename(&unfinished, path).map_err(|source| Error::io("create", path, source))?;
        flush_folder(path).map(|()| written)
    };
    finish().inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}

/// `.{name}.{process}.{count}.part` in the same folder, so that a rename is one step.
pub(crate) fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.{count}.part", std::process::id()))
}

/// Flushes the list of names of the folder that `path` is in of names, where the system can open a folder.
pub(crate) fn flush_folder(path: &Path) -> Result<()> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let flushed = File::open(folder).and_then(|folder| folder.sync_all());
    flushed.map_err(|source| Error::io("flush", folder, source))
}
