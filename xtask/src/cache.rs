//! The installation of libtorch in the user's cache folder.
//!
//! It is a Python virtual environment with torch, shared by all clones. It is complete only if it
//! contains the marker file, which is written last: an interrupted installation is never used. A
//! lock keeps two processes from installing at the same time.
//!
//! An environment cannot be renamed, since its scripts contain its path. Version 0.1.0 did so;
//! [`Cache::repair`] corrects the scripts of its installations.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow};

use crate::{
    libtorch::{Libtorch, VERSION},
    python::Python,
    scripts,
    terminal::message,
};

/// The marker file: its first line is the version, its second line the relative path of torch, its
/// third line [`IN_PLACE`].
const MARKER: &str = "complete";
/// The line of an environment whose scripts contain its own path; missing in those of version 0.1.0.
const IN_PLACE: &str = "in place";

/// `<the user's cache folder>/g2d`, which contains `libtorch-<version>/`.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    name: String,
}

impl Cache {
    /// The cache of the user: below `$XDG_CACHE_HOME` or `~/.cache` on Linux, `~/Library/Caches` on
    /// macOS, `%LOCALAPPDATA%` on Windows.
    pub fn for_user() -> Result<Self> {
        let folder = dirs::cache_dir().context(
            "expected a cache folder for this user, found none; \
             set HOME (or XDG_CACHE_HOME), or set LIBTORCH to a libtorch",
        )?;
        Ok(Self::new(&folder))
    }

    /// The cache below `folder`.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.join("g2d"), name: format!("libtorch-{VERSION}") }
    }

    /// The folder of a complete installation.
    pub fn place(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The installed libtorch, if its installation has completed.
    pub fn complete(&self) -> Option<Libtorch> {
        let place = self.place();
        let marker = self.marker()?;
        let mut lines = marker.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let torch = place.join(lines.next().filter(|line| !line.is_empty())?);
        Libtorch::new(&torch, Python::in_environment(&place), "the cache").ok()
    }

    /// The text of the marker file, if there is one.
    fn marker(&self) -> Option<String> {
        fs::read_to_string(self.place().join(MARKER)).ok()
    }

    /// Corrects the scripts of a complete installation that was renamed. A failure is reported and
    /// otherwise ignored, since libtorch itself works.
    pub fn repair(&self) {
        if let Err(error) = self.try_repair() {
            message(&format!("cannot repair the scripts in {}: {error:#}", self.place().display()));
        }
    }

    fn try_repair(&self) -> Result<()> {
        let renamed = || self.marker().filter(|marker| marker.lines().nth(2) != Some(IN_PLACE));
        if renamed().is_none() {
            return Ok(());
        }
        let _lock = self.lock()?;
        // Another process may have repaired it before this one acquired the lock.
        let Some(marker) = renamed() else { return Ok(()) };
        let place = self.place();
        scripts::replace_path(&place, &self.partial(), &self.name)?;
        let lines: Vec<&str> = marker.lines().take(2).chain([IN_PLACE]).collect();
        scripts::write(&place.join(MARKER), &(lines.join("\n") + "\n"))
    }

    /// What the temporary names of version 0.1.0 begin with; a process id follows.
    fn partial(&self) -> String {
        format!("{}.partial-", self.name)
    }

    /// Tests the environment, then writes the marker.
    pub fn mark(&self) -> Result<()> {
        let place = self.place();
        let python = Python::in_environment(&place)
            .with_context(|| format!("expected a Python in {}, found none", place.display()))?;
        let torch = Python::inspect(&python)?
            .torch
            .with_context(|| format!("{} has no torch", python.display()))?;
        Libtorch::new(&torch, Some(python), "the cache")?;
        // Python may report the canonical path where `place` contains a symbolic link.
        let below = torch
            .strip_prefix(&place)
            .or_else(|_| torch.strip_prefix(place.canonicalize().unwrap_or_default()))
            .map_err(|_| {
                anyhow!(
                    "expected torch below {}, found {}; is PYTHONPATH set to a folder with torch?",
                    place.display(),
                    torch.display()
                )
            })?
            .to_str()
            .context("expected torch in a folder whose name is UTF-8")?;
        scripts::write(&place.join(MARKER), &format!("{VERSION}\n{below}\n{IN_PLACE}\n"))
    }

    /// Creates the cache folder and acquires its lock, which is held until the file is dropped.
    pub fn lock(&self) -> Result<File> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create the folder {}", self.folder.display()))?;
        let path = self.folder.join(format!("{}.lock", self.name));
        let take = || -> io::Result<File> {
            let file =
                File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    message("another process is installing libtorch; waiting until it ends …");
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            Ok(file)
        };
        take().with_context(|| format!("cannot lock {}", path.display()))
    }

    /// Removes interrupted installations. The caller holds the lock, so none of them is in use.
    pub fn remove_interrupted(&self) -> Result<()> {
        let entries = fs::read_dir(&self.folder)
            .with_context(|| format!("cannot list {}", self.folder.display()))?;
        let partial = self.partial();
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", self.folder.display()))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&partial) || *name == *self.name {
                message(&format!("removing the interrupted installation {name}"));
                remove(&entry.path());
            }
        }
        Ok(())
    }
}

/// Removes a folder of the cache. A failure is reported and otherwise ignored.
pub fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            message(&format!("cannot remove {}: {error}", folder.display()));
        }
        _ => {}
    }
}

/// Writes a complete installation.
#[cfg(test)]
pub fn fake(cache: &Cache) -> Result<()> {
    let below = "lib/python3.11/site-packages/torch";
    let torch = cache.place().join(below);
    crate::libtorch::fake(&torch, "version.py", crate::libtorch::VERSION_PY)?;
    fs::write(cache.place().join(MARKER), format!("{VERSION}\n{below}\n{IN_PLACE}\n"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn only_a_marked_installation_is_complete() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::new(home.path());
        assert_eq!(cache.complete(), None, "no folder");
        fake(&cache)?;
        assert!(cache.complete().is_some());

        let marker = cache.place().join(MARKER);
        let text = fs::read_to_string(&marker)?;
        for broken in ["", "2.13.0", "2.13.0\n\n", "2.12.0\nlib\n", "2.13.0\nelsewhere\n"] {
            fs::write(&marker, broken)?;
            assert_eq!(cache.complete(), None, "{broken:?}");
        }
        fs::write(&marker, text)?;
        assert!(cache.complete().is_some());
        fs::remove_file(&marker)?;
        assert_eq!(cache.complete(), None, "an interrupted installation");
        Ok(())
    }

    #[test]
    fn a_marked_installation_with_missing_files_is_not_complete() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::new(home.path());
        fake(&cache)?;
        fs::remove_dir(cache.place().join("lib/python3.11/site-packages/torch/lib"))?;
        assert_eq!(cache.complete(), None);
        Ok(())
    }

    #[test]
    fn only_interrupted_installations_are_removed() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::new(home.path());
        let folder = |name: &str| cache.folder.join(name);
        let removed =
            ["libtorch-2.13.0", "libtorch-2.13.0.partial-1", "libtorch-2.13.0.partial-99"];
        let kept = ["libtorch-2.12.0", "weights"];
        for name in removed.iter().chain(&kept) {
            fs::create_dir_all(folder(name).join("lib"))?;
        }
        cache.remove_interrupted()?;
        assert!(removed.iter().all(|name| !folder(name).exists()));
        assert!(kept.iter().all(|name| folder(name).exists()));
        Ok(())
    }

    #[test]
    fn the_lock_is_exclusive() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::new(home.path());
        let held = cache.lock()?;
        let other = File::open(cache.folder.join("libtorch-2.13.0.lock"))?;
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(other.try_lock().is_ok());
        Ok(())
    }
}
