//! Where libtorch is: the version tch wants, and the places to look for it.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt, fs,
    path::{Path, PathBuf, absolute},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{install::Cache, python::Python, say::note};

/// The one version of libtorch that tch links against.
pub const VERSION: &str = "2.13.0";

/// A libtorch of the right version, and the Python that has it, where known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    dir: PathBuf,
    python: Option<PathBuf>,
    source: &'static str,
}

impl Libtorch {
    /// Takes `dir` for libtorch if it holds one of the right version.
    pub fn new(dir: &Path, python: Option<PathBuf>, source: &'static str) -> Result<Self> {
        for part in ["lib", "include"] {
            ensure!(
                dir.join(part).is_dir(),
                "expected a libtorch folder with lib/ and include/, \
                 but {} has no {part}/",
                dir.display()
            );
        }
        let version = version_of(dir)?;
        ensure!(
            version == VERSION,
            "expected libtorch {VERSION}, the version that tch links against, \
             but {} is libtorch {version}",
            dir.display()
        );
        Ok(Self { dir: dir.to_owned(), python, source })
    }

    /// What the environment of cargo must say.
    pub fn variables(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        let python = self.python.as_ref().map(|python| python.as_os_str());
        std::iter::once(("LIBTORCH", self.dir.as_os_str()))
            .chain(python.map(|python| ("G2D_PYTHON", python)))
    }

    #[cfg(test)]
    pub fn for_tests(dir: &str, python: Option<&str>) -> Self {
        Self { dir: dir.into(), python: python.map(PathBuf::from), source: "a test" }
    }
}

impl fmt::Display for Libtorch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dir, source, .. } = self;
        write!(f, "libtorch {VERSION} from {source}: {}", dir.display())
    }
}

/// The places to look for libtorch, in their order.
#[derive(Debug)]
pub struct Sources {
    /// `$LIBTORCH`: taken or refused, never passed over.
    explicit: Option<OsString>,
    /// `$G2D_PYTHON`: kept as it is, whichever libtorch is found.
    explicit_python: Option<PathBuf>,
    /// The copy that all clones share.
    cache: Cache,
    /// The Pythons to ask for their torch.
    pythons: Vec<PathBuf>,
}

impl Sources {
    /// The places this process's environment names.
    pub fn from_env() -> Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        Ok(Self {
            explicit: set("LIBTORCH"),
            explicit_python: set("G2D_PYTHON").map(PathBuf::from),
            cache: Cache::of_user()?,
            pythons: Python::names(set("VIRTUAL_ENV").as_deref().map(Path::new)),
        })
    }

    /// The first libtorch that fits; when there is none, one is installed.
    pub fn find_or_install(&self) -> Result<Libtorch> {
        let mut found = match self.find()? {
            Some(found) => found,
            None => self.cache.install(&self.pythons)?,
        };
        if let Some(python) = &self.explicit_python {
            found.python = Some(python.clone());
        }
        Ok(found)
    }

    /// The first libtorch that fits, without installing any.
    fn find(&self) -> Result<Option<Libtorch>> {
        if let Some(dir) = &self.explicit {
            return from_variable(Path::new(dir)).map(Some);
        }
        if let Some(cached) = self.cache.complete() {
            return Ok(Some(cached));
        }
        Ok(self.pythons.iter().find_map(|python| from_python(python)))
    }
}

/// The libtorch that `$LIBTORCH` names.
fn from_variable(dir: &Path) -> Result<Libtorch> {
    let check = || {
        // Cargo runs build scripts in other folders than ours.
        let dir = absolute(dir)?;
        Libtorch::new(&dir, python_around(&dir), "LIBTORCH")
    };
    check().with_context(|| {
        format!(
            "LIBTORCH is set to {}, which does not fit; point it to a libtorch {VERSION}, \
             or unset it to have one found or installed",
            dir.display()
        )
    })
}

/// The torch of this Python, if it has the right one.
fn from_python(program: &Path) -> Option<Libtorch> {
    let python = Python::ask(program).ok()?;
    match Libtorch::new(&python.torch?, Some(python.program), "Python's torch") {
        Ok(libtorch) => Some(libtorch),
        Err(reason) => {
            note(&format!("torch of {} left out: {reason:#}", program.display()));
            None
        }
    }
}

/// The interpreter of the environment that `dir` is a package of:
/// `<env>/lib/python3.x/site-packages/torch` or `<env>/Lib/site-packages/torch`.
fn python_around(dir: &Path) -> Option<PathBuf> {
    let packages = dir.parent()?;
    if packages.file_name()? != "site-packages" {
        return None;
    }
    packages.ancestors().skip(2).take(2).find_map(Python::in_environment)
}

/// The version of the libtorch in `dir`, without a suffix such as `+cu130`.
fn version_of(dir: &Path) -> Result<String> {
    let read = |name: &str| -> Result<Option<String>> {
        let path = dir.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    };
    // The zip of libtorch has the one, torch installed by pip the other.
    let version = if let Some(text) = read("build-version")? {
        Some(text.trim().to_owned())
    } else if let Some(text) = read("version.py")? {
        let version = python_version_line(&text).map(str::to_owned);
        Some(version.ok_or_else(|| {
            anyhow!(
                "expected a line `__version__ = '…'` in {}, found none",
                dir.join("version.py").display()
            )
        })?)
    } else {
        None
    };
    match version.as_deref().map(without_suffix) {
        Some("") => bail!("the file build-version in {} is empty", dir.display()),
        Some(version) => Ok(version.to_owned()),
        None => bail!(
            "expected a file build-version or version.py in {}, found neither: \
             its version is unknown",
            dir.display()
        ),
    }
}

/// `2.13.0` of `2.13.0+cu130`.
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

/// A folder that passes for libtorch, for this crate's tests.
#[cfg(test)]
pub fn fake(dir: &Path, file: &str, text: &str) -> Result<()> {
    fs::create_dir_all(dir.join("lib"))?;
    fs::create_dir_all(dir.join("include"))?;
    fs::write(dir.join(file), text)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::{TempDir, tempdir};

    use super::*;

    const GOOD: &str = "from typing import Optional\n\n__all__ = ['__version__', 'debug']\n\
                        __version__ = '2.13.0+cu130'\ndebug = False\n";

    fn sources(home: &TempDir) -> Sources {
        Sources {
            explicit: None,
            explicit_python: None,
            cache: Cache::at(&home.path().join("cache")),
            pythons: vec![],
        }
    }

    fn refusal(sources: &Sources) -> String {
        match sources.find() {
            Ok(found) => panic!("expected a refusal, got {found:?}"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn versions_are_read() {
        assert_eq!(python_version_line(GOOD), Some("2.13.0+cu130"));
        assert_eq!(python_version_line("__version__: str = \"2.9.1\"\n"), Some("2.9.1"));
        assert_eq!(python_version_line("__version__ = x\n"), None);
        assert_eq!(python_version_line("__version__ =\n"), None);
        assert_eq!(python_version_line("__version__ = 'open\n"), None);
        assert_eq!(without_suffix("2.13.0+cpu"), "2.13.0");
        assert_eq!(without_suffix("2.13.0"), "2.13.0");
        assert_eq!(without_suffix("2.13.0a0+git"), "2.13.0a0");
    }

    #[test]
    fn both_layouts_are_taken() -> Result<()> {
        for (file, text) in [("build-version", "2.13.0+cpu\n"), ("version.py", GOOD)] {
            let home = tempdir()?;
            fake(home.path(), file, text)?;
            let mut sources = sources(&home);
            sources.explicit = Some(home.path().into());
            let found = sources.find()?.context("nothing found")?;
            assert_eq!(found.dir, absolute(home.path())?);
        }
        Ok(())
    }

    #[test]
    fn a_wrong_version_is_refused_naming_both() -> Result<()> {
        let home = tempdir()?;
        fake(home.path(), "build-version", "2.9.1+cu128\n")?;
        let mut sources = sources(&home);
        sources.explicit = Some(home.path().into());
        let text = refusal(&sources);
        assert!(text.contains("expected libtorch 2.13.0"), "{text}");
        assert!(text.contains("is libtorch 2.9.1"), "{text}");
        assert!(text.contains("LIBTORCH is set to"), "{text}");
        assert!(text.contains("unset it"), "{text}");
        Ok(())
    }

    #[test]
    fn a_missing_part_is_refused_by_name() -> Result<()> {
        let home = tempdir()?;
        fs::create_dir(home.path().join("include"))?;
        let mut sources = sources(&home);
        sources.explicit = Some(home.path().into());
        assert!(refusal(&sources).contains("has no lib/"));
        fs::create_dir(home.path().join("lib"))?;
        assert!(refusal(&sources).contains("build-version or version.py"));
        fs::write(home.path().join("version.py"), "nothing here\n")?;
        assert!(refusal(&sources).contains("__version__"));
        Ok(())
    }

    #[test]
    fn an_environment_around_libtorch_names_its_python() -> Result<()> {
        let home = tempdir()?;
        let torch = home.path().join("lib/python3.11/site-packages/torch");
        fake(&torch, "version.py", GOOD)?;
        assert_eq!(python_around(&torch), None);
        let bin = home.path().join(if cfg!(windows) { "Scripts" } else { "bin" });
        let python = bin.join(if cfg!(windows) { "python.exe" } else { "python" });
        fs::create_dir_all(&bin)?;
        fs::write(&python, "")?;
        assert_eq!(python_around(&torch), Some(python.clone()));

        let mut sources = sources(&home);
        sources.explicit = Some(torch.clone().into());
        assert_eq!(sources.find_or_install()?.python, Some(python));
        sources.explicit_python = Some("/my/python".into());
        assert_eq!(
            sources.find_or_install()?.python,
            Some("/my/python".into()),
            "G2D_PYTHON of the user stays"
        );
        Ok(())
    }

    /// Explicit goes before the cache, and the cache before Python's.
    #[cfg(unix)]
    #[test]
    fn the_first_that_fits_is_chosen() -> Result<()> {
        let home = tempdir()?;
        let fitting = home.path().join("fitting");
        fake(&fitting, "version.py", GOOD)?;
        let old = home.path().join("old");
        fake(&old, "version.py", "__version__ = '2.12.0'\n")?;

        let mut sources = sources(&home);
        sources.pythons = vec![
            home.path().join("absent"),
            crate::python::fake(home.path(), "without", None)?,
            crate::python::fake(home.path(), "old-python", Some(&old))?,
            crate::python::fake(home.path(), "new-python", Some(&fitting))?,
        ];
        let found = sources.find()?.context("nothing found")?;
        assert_eq!(found.dir, fitting);
        assert_eq!(found.python, Some(home.path().join("new-python")));

        crate::install::fake(&sources.cache, GOOD)?;
        let found = sources.find()?.context("nothing found")?;
        assert_eq!(found.source, "the cache");

        let explicit = home.path().join("explicit");
        fake(&explicit, "build-version", "2.13.0")?;
        sources.explicit = Some(explicit.clone().into());
        let found = sources.find()?.context("nothing found")?;
        assert_eq!(found.dir, explicit);

        // A wrong LIBTORCH is never passed over in silence.
        sources.explicit = Some(old.into());
        assert!(refusal(&sources).contains("2.12.0"));
        Ok(())
    }

    #[test]
    fn nothing_fits() -> Result<()> {
        assert_eq!(sources(&tempdir()?).find()?, None);
        Ok(())
    }
}
