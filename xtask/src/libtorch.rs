//! A libtorch of the version that tch links against.

use std::{
    ffi::OsStr,
    fmt, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

/// The only version of libtorch that tch links against.
pub const VERSION: &str = "2.13.0";

/// A libtorch of the right version, and the Python that has it, if known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    folder: PathBuf,
    python: Option<PathBuf>,
    source: &'static str,
}

impl Libtorch {
    /// The libtorch in `folder`; an error if its files are not complete or its version is wrong.
    pub fn new(folder: &Path, python: Option<PathBuf>, source: &'static str) -> Result<Self> {
        for part in ["lib", "include"] {
            ensure!(
                folder.join(part).is_dir(),
                "expected a libtorch folder with lib/ and include/, but {} has no {part}/",
                folder.display()
            );
        }
        let version = version_of(folder)?;
        ensure!(
            version == VERSION,
            "expected libtorch {VERSION}, the version that tch links against, \
             but {} is libtorch {version}",
            folder.display()
        );
        Ok(Self { folder: folder.to_owned(), python, source })
    }

    /// The same libtorch with another Python.
    pub fn with_python(self, python: PathBuf) -> Self {
        Self { python: Some(python), ..self }
    }

    /// The environment variables that cargo needs.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        let python = self.python.as_ref().map(|python| python.as_os_str());
        std::iter::once(("LIBTORCH", self.folder.as_os_str()))
            .chain(python.map(|python| ("G2D_PYTHON", python)))
    }

    #[cfg(test)]
    pub fn for_tests(folder: &str, python: Option<&str>) -> Self {
        Self { folder: folder.into(), python: python.map(PathBuf::from), source: "a test" }
    }
}

impl fmt::Display for Libtorch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { folder, source, .. } = self;
        write!(f, "libtorch {VERSION} from {source}: {}", folder.display())
    }
}

/// The version of the libtorch in `folder`, without a suffix such as `+cu130`.
fn version_of(folder: &Path) -> Result<String> {
    let read = |name: &str| -> Result<Option<String>> {
        let path = folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    };
    // The zip archive of libtorch has the first file, torch installed by pip the second.
    let version = if let Some(text) = read("build-version")? {
        Some(text.trim().to_owned())
    } else if let Some(text) = read("version.py")? {
        let version = python_version_line(&text).map(str::to_owned);
        Some(version.ok_or_else(|| {
            anyhow!(
                "expected a line `__version__ = '…'` in {}, found none",
                folder.join("version.py").display()
            )
        })?)
    } else {
        None
    };
    match version.as_deref().map(without_suffix) {
        Some("") => bail!("the file build-version in {} is empty", folder.display()),
        Some(version) => Ok(version.to_owned()),
        None => bail!(
            "expected a file build-version or version.py in {}, found neither, \
             so its version is unknown",
            folder.display()
        ),
    }
}

/// `2.13.0` for `2.13.0+cu130`.
fn without_suffix(version: &str) -> &str {
    version.split_once('+').map_or(version, |(version, _)| version)
}

/// The version in a text like `__version__ = '2.13.0+cu130'`.
fn python_version_line(text: &str) -> Option<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("__version__"))
        .filter_map(|rest| rest.split_once('='))
        .find_map(|(_, value)| {
            let value = value.trim();
            let quote = value.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            value[1..].split_once(quote).map(|(version, _)| version)
        })
}

/// A version.py of the right version, as pip installs it.
#[cfg(test)]
pub const VERSION_PY: &str = "from typing import Optional\n\n__all__ = ['__version__', 'debug']\n\
                              __version__ = '2.13.0+cu130'\ndebug = False\n";

/// Writes a folder that [`Libtorch::new`] accepts if `text` in `file` has the right version.
#[cfg(test)]
pub fn fake(folder: &Path, file: &str, text: &str) -> Result<()> {
    fs::create_dir_all(folder.join("lib"))?;
    fs::create_dir_all(folder.join("include"))?;
    fs::write(folder.join(file), text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    #[test]
    fn versions_are_parsed() {
        assert_eq!(python_version_line(VERSION_PY), Some("2.13.0+cu130"));
        assert_eq!(python_version_line("__version__: str = \"2.9.1\"\n"), Some("2.9.1"));
        assert_eq!(python_version_line("__version__ = x\n"), None);
        assert_eq!(python_version_line("__version__ =\n"), None);
        assert_eq!(python_version_line("__version__ = 'open\n"), None);
        assert_eq!(without_suffix("2.13.0+cpu"), "2.13.0");
        assert_eq!(without_suffix("2.13.0"), "2.13.0");
        assert_eq!(without_suffix("2.13.0a0+git"), "2.13.0a0");
    }

    #[test]
    fn both_layouts_are_accepted() -> Result<()> {
        for (file, text) in [("build-version", "2.13.0+cpu\n"), ("version.py", VERSION_PY)] {
            let home = tempdir()?;
            fake(home.path(), file, text)?;
            assert_eq!(Libtorch::new(home.path(), None, "a test")?.folder, home.path());
        }
        Ok(())
    }

    fn error(folder: &Path) -> String {
        match Libtorch::new(folder, None, "a test") {
            Ok(found) => panic!("expected an error, found {found:?}"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn the_error_for_a_wrong_version_names_both_versions() -> Result<()> {
        let home = tempdir()?;
        fake(home.path(), "build-version", "2.9.1+cu128\n")?;
        let text = error(home.path());
        assert!(text.contains("expected libtorch 2.13.0"), "{text}");
        assert!(text.contains("is libtorch 2.9.1"), "{text}");
        Ok(())
    }

    #[test]
    fn the_error_for_a_missing_part_names_it() -> Result<()> {
        let home = tempdir()?;
        fs::create_dir(home.path().join("include"))?;
        assert!(error(home.path()).contains("has no lib/"));
        fs::create_dir(home.path().join("lib"))?;
        assert!(error(home.path()).contains("build-version or version.py"));
        fs::write(home.path().join("version.py"), "no version here\n")?;
        assert!(error(home.path()).contains("__version__"));
        Ok(())
    }
}
