//! The copy of libtorch in the user's cache folder, and its installation.
//!
//! It is a Python virtual environment with torch in it, one for all clones.
//! It is made under another name, renamed into place when whole, tried there,
//! and then marked by a file. Only a marked copy is ever used, so an install
//! that was cut off is never taken for complete. A lock keeps two programs
//! from installing at once.

use std::{
    fs::{self, File, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{
    cargo::shown,
    libtorch::{Libtorch, VERSION},
    python::{OLDEST, Python},
    say::{note, seconds},
};

/// Written last; its first line is the version, its second where torch is.
const MARKER: &str = "complete";

/// What the tests that compare with PyTorch want beside it.
const COMPANIONS: [&str; 2] = ["numpy", "safetensors"];

/// `<the user's cache>/g2d`, which holds `libtorch-<version>/`.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    name: String,
}

impl Cache {
    /// The user's: `$XDG_CACHE_HOME` or `~/.cache` on Linux,
    /// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows.
    pub fn of_user() -> Result<Self> {
        let folder = dirs::cache_dir().context(
            "expected a cache folder for this user, found none; \
             set HOME (or XDG_CACHE_HOME), or point LIBTORCH to a libtorch",
        )?;
        Ok(Self::at(&folder))
    }

    /// The one in this cache folder.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.join("g2d"), name: format!("libtorch-{VERSION}") }
    }

    fn place(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    /// The installed libtorch, if its install came to its end.
    pub fn complete(&self) -> Option<Libtorch> {
        let place = self.place();
        let marker = fs::read_to_string(place.join(MARKER)).ok()?;
        let mut lines = marker.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let torch = place.join(lines.next().filter(|line| !line.is_empty())?);
        Libtorch::new(&torch, Python::in_environment(&place), "the cache").ok()
    }

    /// Installs libtorch with the first of these Pythons that can.
    pub fn install(&self, pythons: &[PathBuf]) -> Result<Libtorch> {
        let python = installer(pythons)?;
        let place = self.place();
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot make the folder {}", self.folder.display()))?;
        let lock = self.lock()?;
        if let Some(done) = self.complete() {
            return Ok(done); // by the one we waited for
        }
        self.remove_leftovers()?;

        announce(&place, &python);
        let start = Instant::now();
        let partial = self.folder.join(format!("{}.partial-{}", self.name, process::id()));
        let placed = fill(&partial, &python, &lock).and_then(|()| {
            fs::rename(&partial, &place).with_context(|| {
                format!("cannot rename {} to {}", partial.display(), place.display())
            })
        });
        if placed.is_err() {
            remove(&partial);
        }
        placed
            .and_then(|()| self.mark())
            .with_context(|| format!("libtorch {VERSION} was not installed"))?;
        note(&format!("installed in {}", seconds(start.elapsed())));
        self.complete()
            .with_context(|| format!("{} is incomplete after its install", place.display()))
    }

    /// Tries the renamed environment, then writes the marker.
    fn mark(&self) -> Result<()> {
        let place = self.place();
        let python = Python::in_environment(&place)
            .with_context(|| format!("expected a Python in {}, found none", place.display()))?;
        let torch = Python::ask(&python)?
            .torch
            .with_context(|| format!("{} has no torch", python.display()))?;
        Libtorch::new(&torch, Some(python), "the cache")?;
        // Python may know the folder by its real name, we by a link's.
        let below = torch
            .strip_prefix(&place)
            .or_else(|_| torch.strip_prefix(place.canonicalize().unwrap_or_default()))
            .map_err(|_| {
                anyhow!(
                    "expected torch below {}, got {}; is PYTHONPATH set to a folder with torch?",
                    place.display(),
                    torch.display()
                )
            })?
            .to_str()
            .context("expected torch in a folder named in UTF-8")?;
        let marker = place.join(MARKER);
        fs::write(&marker, format!("{VERSION}\n{below}\n"))
            .with_context(|| format!("cannot write {}", marker.display()))
    }

    /// Waits for the lock; it is held until the file is dropped.
    fn lock(&self) -> Result<File> {
        let path = self.folder.join(format!("{}.lock", self.name));
        let take = || -> io::Result<File> {
            let file =
                File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    note("another install of libtorch is under way; waiting for its end …");
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            Ok(file)
        };
        take().with_context(|| format!("cannot lock {}", path.display()))
    }

    /// Removes what installs that were cut off have left. The lock is ours, so
    /// none of it is in use.
    fn remove_leftovers(&self) -> Result<()> {
        let entries = fs::read_dir(&self.folder)
            .with_context(|| format!("cannot list {}", self.folder.display()))?;
        let partial = format!("{}.partial-", self.name);
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", self.folder.display()))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(&partial) || *name == *self.name {
                note(&format!("removing an unfinished install: {name}"));
                remove(&entry.path());
            }
        }
        Ok(())
    }
}

/// The first of these Pythons that can install torch.
fn installer(pythons: &[PathBuf]) -> Result<Python> {
    let mut reasons = String::new();
    for program in pythons {
        let fit = Python::ask(program).and_then(|python| {
            python.can_install()?;
            Ok(python)
        });
        match fit {
            Ok(python) => return Ok(python),
            Err(reason) => reasons += &format!("\n  - {reason:#}"),
        }
    }
    let (major, minor) = OLDEST;
    let mend = if cfg!(target_os = "macos") {
        "`brew install python3`"
    } else if cfg!(windows) {
        "`winget install Python.Python.3.12`"
    } else {
        "`apt install python3-venv python3-pip`, `dnf install python3-pip`, \
         or your system's like"
    };
    bail!(
        "found no libtorch {VERSION}; to install it, a Python {major}.{minor} or newer \
         with venv and pip is expected, and none was found:{reasons}\n\
         Install one ({mend}), or point LIBTORCH to a libtorch {VERSION}."
    )
}

/// Says what is about to be fetched, and how to avoid it.
fn announce(place: &Path, python: &Python) {
    let size = if cfg!(target_os = "linux") {
        "2 to 3 GB to download and 4.7 GB on disk, CUDA's libraries included"
    } else {
        "some hundred MB to download, up to 1 GB on disk"
    };
    note(&format!(
        "found no libtorch {VERSION}; installing torch {VERSION} with {}\n  \
         size:  about {size}; once for all clones\n  \
         into:  {}\n  \
         stop:  Ctrl-C; a libtorch {VERSION} you have is taken from LIBTORCH instead",
        python.program.display(),
        place.display()
    ));
}

/// Makes a virtual environment with torch in `partial`.
fn fill(partial: &Path, python: &Python, lock: &File) -> Result<()> {
    let mut venv = Command::new(&python.program);
    venv.args(["-I", "-m", "venv"]).arg(partial);
    step(&mut venv, lock).context(
        "cannot make a virtual environment; is venv complete? (`apt install python3-venv`)",
    )?;

    let own = Python::in_environment(partial)
        .with_context(|| format!("expected a Python in {}, found none", partial.display()))?;
    let mut pip = Command::new(own);
    pip.args(["-I", "-m", "pip", "install", "--disable-pip-version-check"])
        .arg(format!("torch=={VERSION}"))
        .args(COMPANIONS);
    step(&mut pip, lock).with_context(|| {
        format!(
            "pip could not install torch {VERSION}, for the reason it gives above; \
             check the network, the space on the disk and pip's settings, and try again, \
             or point LIBTORCH to a libtorch {VERSION}"
        )
    })
}

/// Runs one step of the install. It speaks on stderr only: our stdout may be
/// read by a shell.
fn step(command: &mut Command, lock: &File) -> Result<()> {
    // On Unix a copy of the lock goes along as the child's stdin, which it does
    // not read. If this program is killed and the child lives on, the lock
    // stays, and the next install waits rather than work in the same folder.
    let stdin = if cfg!(unix) {
        Stdio::from(lock.try_clone().context("cannot pass on the lock")?)
    } else {
        Stdio::null()
    };
    let status = command
        .stdin(stdin)
        .stdout(io::stderr())
        .stderr(Stdio::inherit())
        .status()
        .with_context(|| format!("cannot start {}", shown(command)))?;
    ensure!(status.success(), "{} failed ({status})", shown(command));
    Ok(())
}

/// Removes a folder of ours; what stays is said, and is no reason to stop.
fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            note(&format!("cannot remove {}: {error}", folder.display()));
        }
        _ => {}
    }
}

/// A complete cache, for this crate's tests.
#[cfg(test)]
pub fn fake(cache: &Cache, version_py: &str) -> Result<()> {
    let below = "lib/python3.11/site-packages/torch";
    crate::libtorch::fake(&cache.place().join(below), "version.py", version_py)?;
    fs::write(cache.place().join(MARKER), format!("{VERSION}\n{below}\n"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    const GOOD: &str = "__version__ = '2.13.0+cu130'\n";

    #[test]
    fn only_a_marked_copy_is_complete() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::at(home.path());
        assert_eq!(cache.complete(), None, "no folder");
        fake(&cache, GOOD)?;
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
        assert_eq!(cache.complete(), None, "an install that was cut off");
        Ok(())
    }

    #[test]
    fn a_marked_copy_that_lost_its_files_is_not_complete() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::at(home.path());
        fake(&cache, GOOD)?;
        fs::remove_dir(cache.place().join("lib/python3.11/site-packages/torch/lib"))?;
        assert_eq!(cache.complete(), None);
        Ok(())
    }

    #[test]
    fn leftovers_go_and_others_stay() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::at(home.path());
        let folder = |name: &str| cache.folder.join(name);
        let gone = ["libtorch-2.13.0", "libtorch-2.13.0.partial-1", "libtorch-2.13.0.partial-99"];
        let kept = ["libtorch-2.12.0", "weights"];
        for name in gone.iter().chain(&kept) {
            fs::create_dir_all(folder(name).join("lib"))?;
        }
        cache.remove_leftovers()?;
        assert!(gone.iter().all(|name| !folder(name).exists()));
        assert!(kept.iter().all(|name| folder(name).exists()));
        Ok(())
    }

    #[test]
    fn one_holds_the_lock() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::at(home.path());
        fs::create_dir_all(&cache.folder)?;
        let held = cache.lock()?;
        let other = File::open(cache.folder.join("libtorch-2.13.0.lock"))?;
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(other.try_lock().is_ok());
        Ok(())
    }

    #[test]
    fn without_a_python_the_error_says_what_to_do() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::at(home.path());
        let Err(error) = cache.install(&[home.path().join("no-python")]) else {
            panic!("installed without a Python");
        };
        let text = format!("{error:#}");
        assert!(text.contains("no-python does not start"), "{text}");
        assert!(text.contains("Install one"), "{text}");
        assert!(text.contains("point LIBTORCH"), "{text}");
        Ok(())
    }

    /// A Python whose venv and pip do what they should, or half of it.
    #[cfg(unix)]
    mod installs {
        use super::*;

        /// Answers the question, and makes an environment by copying itself.
        fn python(folder: &Path, pip: &str) -> Result<PathBuf> {
            let program = folder.join("python3");
            let script = format!(
                r#"#!/bin/sh
root=$(dirname "$(dirname "$0")")
torch=$root/lib/python3.11/site-packages/torch
case "$*" in
*"-m venv"*)
    for last; do :; done
    mkdir -p "$last/bin" && cp "$0" "$last/bin/python" ;;
*"-m pip install"*)
    mkdir -p "$torch/lib" "$torch/include"
    {pip} ;;
*) printf '%s\n' "$0" 3.11 True "$(test -d "$torch" && echo "$torch")" ;;
esac
"#
            );
            crate::python::fake_program(&program, &script)?;
            Ok(program)
        }

        #[test]
        fn a_whole_one_is_placed_and_marked() -> Result<()> {
            let home = tempdir()?;
            let cache = Cache::at(&home.path().join("a cache"));
            let python =
                python(home.path(), r#"echo "__version__ = '2.13.0+cpu'" >"$torch/version.py""#)?;
            fs::create_dir_all(cache.folder.join("libtorch-2.13.0.partial-1/lib"))?;
            let installed = cache.install(&[python])?;
            assert_eq!(cache.complete(), Some(installed));
            let left: Vec<_> = fs::read_dir(&cache.folder)?
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<io::Result<_>>()?;
            assert_eq!(left.len(), 2, "the copy and its lock: {left:?}");
            Ok(())
        }

        #[test]
        fn a_failed_or_wrong_one_is_never_complete() -> Result<()> {
            for (pip, why) in [
                ("exit 1", "pip could not install"),
                (r#"echo "__version__ = '2.12.0'" >"$torch/version.py""#, "is libtorch 2.12.0"),
            ] {
                let home = tempdir()?;
                let cache = Cache::at(home.path());
                let Err(error) = cache.install(&[python(home.path(), pip)?]) else {
                    panic!("a bad install was taken: {pip}");
                };
                let text = format!("{error:#}");
                assert!(text.contains(why), "{text}");
                assert_eq!(cache.complete(), None);
                assert!(!cache.place().join(MARKER).exists());
            }
            Ok(())
        }
    }
}
