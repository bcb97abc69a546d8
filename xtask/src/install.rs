//! Installing libtorch into the cache.
//!
//! The environment is built in its place, since its scripts contain its path, tested there and then
//! marked as complete.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::{
    cache::{self, Cache},
    command::display,
    libtorch::{Libtorch, VERSION},
    python::{OLDEST, Python},
    terminal::{format_duration, message},
};

/// Packages beside torch that the tests against PyTorch need.
const COMPANIONS: [&str; 2] = ["numpy", "safetensors"];

/// Installs libtorch into `cache` with the first suitable interpreter of `pythons`.
pub fn install(cache: &Cache, pythons: &[PathBuf]) -> Result<Libtorch> {
    let python = first_suitable(pythons)?;
    let lock = cache.lock()?;
    // Another process may have installed it before this one acquired the lock.
    if let Some(done) = cache.complete() {
        return Ok(done);
    }
    cache.remove_interrupted()?;

    let place = cache.place();
    announce(&place, &python);
    let start = Instant::now();
    let built = build(&place, &python, &lock).and_then(|()| cache.mark());
    if built.is_err() {
        cache::remove(&place);
    }
    built.with_context(|| format!("libtorch {VERSION} was not installed"))?;
    message(&format!("installed libtorch in {}", format_duration(start.elapsed())));
    cache
        .complete()
        .with_context(|| format!("the installation in {} is not complete", place.display()))
}

/// The first of `pythons` that can install torch.
fn first_suitable(pythons: &[PathBuf]) -> Result<Python> {
    let mut reasons = String::new();
    for program in pythons {
        let python = Python::inspect(program).and_then(|python| {
            python.check_can_install()?;
            Ok(python)
        });
        match python {
            Ok(python) => return Ok(python),
            Err(reason) => reasons += &format!("\n  - {reason:#}"),
        }
    }
    let (major, minor) = OLDEST;
    let hint = if cfg!(target_os = "macos") {
        "`brew install python3`"
    } else if cfg!(windows) {
        "`winget install Python.Python.3.12`"
    } else {
        "`apt install python3-venv python3-pip`, `dnf install python3-pip`, \
         or the equivalent on your system"
    };
    bail!(
        "found no libtorch {VERSION}; its installation needs Python {major}.{minor} or newer \
         with venv and pip, and none was found:{reasons}\n\
         Install one ({hint}), or set LIBTORCH to a libtorch {VERSION}."
    )
}

/// Prints what will be downloaded, and how to avoid it.
fn announce(place: &Path, python: &Python) {
    let size = if cfg!(target_os = "linux") {
        "2 to 3 GB of download, 4.7 GB on disk, with the libraries of CUDA"
    } else {
        "some hundred MB of download, up to 1 GB on disk"
    };
    message(&format!(
        "found no libtorch {VERSION}; installing torch {VERSION} with {}\n  \
         size:    {size}; once for all clones\n  \
         folder:  {}\n  \
         cancel:  Ctrl-C; set LIBTORCH to use a libtorch {VERSION} that you have",
        python.program.display(),
        place.display()
    ));
}

/// Creates a virtual environment with torch in `place`.
fn build(place: &Path, python: &Python, lock: &File) -> Result<()> {
    let mut venv = Command::new(&python.program);
    venv.args(["-I", "-m", "venv"]).arg(place);
    run(&mut venv, lock).context(
        "cannot create a virtual environment; is venv complete? (`apt install python3-venv`)",
    )?;

    let own = Python::in_environment(place)
        .with_context(|| format!("expected a Python in {}, found none", place.display()))?;
    let mut pip = Command::new(own);
    pip.args(["-I", "-m", "pip", "install", "--disable-pip-version-check"])
        .arg(format!("torch=={VERSION}"))
        .args(COMPANIONS);
    run(&mut pip, lock).with_context(|| {
        format!(
            "pip could not install torch {VERSION}, see its message above; check the network, the \
             disk space and the settings of pip and try again, or set LIBTORCH to a libtorch \
             {VERSION}"
        )
    })
}

/// Runs one command of the installation. It prints to stderr only, since a shell may read this
/// process's stdout.
fn run(command: &mut Command, lock: &File) -> Result<()> {
    // On Unix the child inherits the lock as its stdin, which it does not read. If this process is
    // killed and the child survives, the lock stays held, and the next installation does not work in
    // the same folder.
    let stdin = if cfg!(unix) {
        Stdio::from(lock.try_clone().context("cannot duplicate the lock")?)
    } else {
        Stdio::null()
    };
    let status = command
        .stdin(stdin)
        .stdout(io::stderr())
        .stderr(Stdio::inherit())
        .status()
        .with_context(|| format!("cannot start {}", display(command)))?;
    ensure!(status.success(), "{} failed ({status})", display(command));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::tempdir;

    use super::*;

    #[test]
    fn the_error_without_a_python_has_a_hint() -> Result<()> {
        let home = tempdir()?;
        let cache = Cache::new(home.path());
        let Err(error) = install(&cache, &[home.path().join("no-python")]) else {
            panic!("installed without a Python");
        };
        let text = format!("{error:#}");
        assert!(text.contains("no-python does not start"), "{text}");
        assert!(text.contains("Install one"), "{text}");
        assert!(text.contains("set LIBTORCH"), "{text}");
        Ok(())
    }

    /// Writes a Python whose venv copies the program and whose pip runs `pip`.
    #[cfg(unix)]
    fn fake_python(folder: &Path, pip: &str) -> Result<PathBuf> {
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
    printf '#!/bin/sh\nexec "%s/bin/python"\n' "$root" >"$root/bin/torchrun"
    chmod +x "$root/bin/torchrun"
    {pip} ;;
*) printf '%s\n' "$0" 3.11 True "$(test -d "$torch" && echo "$torch")" ;;
esac
"#
        );
        crate::python::fake_program(&program, &script)?;
        Ok(program)
    }

    #[cfg(unix)]
    #[test]
    fn a_successful_installation_is_marked_and_its_scripts_work() -> Result<()> {
        let home = tempdir()?;
        let folder = home.path().join("a cache");
        let cache = Cache::new(&folder);
        let python =
            fake_python(home.path(), r#"echo "__version__ = '2.13.0+cpu'" >"$torch/version.py""#)?;
        fs::create_dir_all(folder.join("g2d/libtorch-2.13.0.partial-1/lib"))?;
        let installed = install(&cache, &[python])?;
        assert_eq!(cache.complete(), Some(installed));
        let left: Vec<_> = fs::read_dir(folder.join("g2d"))?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()?;
        assert_eq!(left.len(), 2, "the installation and its lock: {left:?}");
        let torchrun = folder.join("g2d/libtorch-2.13.0/bin/torchrun");
        let output = Command::new(&torchrun).output()?;
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert!(output.stdout.starts_with(folder.as_os_str().as_encoded_bytes()), "{output:?}");
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_failed_or_wrong_installation_is_not_complete() -> Result<()> {
        for (pip, reason) in [
            ("exit 1", "pip could not install"),
            (r#"echo "__version__ = '2.12.0'" >"$torch/version.py""#, "is libtorch 2.12.0"),
        ] {
            let home = tempdir()?;
            let cache = Cache::new(home.path());
            let Err(error) = install(&cache, &[fake_python(home.path(), pip)?]) else {
                panic!("a bad installation was accepted: {pip}");
            };
            let text = format!("{error:#}");
            assert!(text.contains(reason), "{text}");
            assert_eq!(cache.complete(), None);
            assert!(!cache.place().exists(), "an unusable installation is left");
        }
        Ok(())
    }
}
