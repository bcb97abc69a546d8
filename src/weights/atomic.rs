//! A file that is there whole or not at all.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use crate::{Error, Result};

/// Lets `write` make a file beside `path`, flushes it to disk and renames it to `path`.
pub(super) fn write(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let unfinished = beside(path);
    let finish = || {
        write(&unfinished)?;
        let flushed = File::open(&unfinished).and_then(|file| file.sync_all());
        flushed.map_err(|source| Error::io("flush", &unfinished, source))?;
        fs::rename(&unfinished, path).map_err(|source| Error::io("create", path, source))
    };
    finish().inspect_err(|_| {
        let _ = fs::remove_file(&unfinished);
    })
}

/// `.{name}.{process}.part` in the same folder, so that a rename is one step.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.part", std::process::id()))
}
