//! The search for libtorch.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf, absolute},
};

use anyhow::{Context as _, Result};

use crate::{
    cache::Cache,
    install::install,
    libtorch::{Libtorch, VERSION},
    python::Python,
    terminal::message,
};

/// The places to search for libtorch, in order.
#[derive(Debug)]
pub struct Search {
    /// `$LIBTORCH`: accepted or refused, never skipped.
    explicit: Option<OsString>,
    /// `$G2D_PYTHON`: kept, whichever libtorch is found.
    explicit_python: Option<PathBuf>,
    /// The installation that all clones share.
    cache: Cache,
    /// The interpreters that may have torch.
    pythons: Vec<PathBuf>,
}

impl Search {
    /// The places that the environment of this process names.
    pub fn from_env() -> Result<Self> {
        let set = |name| env::var_os(name).filter(|value| !value.is_empty());
        Ok(Self {
            explicit: set("LIBTORCH"),
            explicit_python: set("G2D_PYTHON").map(PathBuf::from),
            cache: Cache::for_user()?,
            pythons: Python::candidates(set("VIRTUAL_ENV").as_deref().map(Path::new)),
        })
    }

    /// The first suitable libtorch; installs one if there is none.
    pub fn find_or_install(&self) -> Result<Libtorch> {
        let found = match self.find()? {
            Some(found) => found,
            None => install(&self.cache, &self.pythons)?,
        };
        Ok(match &self.explicit_python {
            Some(python) => found.with_python(python.clone()),
            None => found,
        })
    }

    /// The first suitable libtorch.
    fn find(&self) -> Result<Option<Libtorch>> {
        if let Some(folder) = &self.explicit {
            return from_variable(Path::new(folder)).map(Some);
        }
        if let Some(cached) = self.cache.complete() {
            self.cache.repair();
            return Ok(Some(cached));
        }
        Ok(self.pythons.iter().find_map(|python| from_python(python)))
    }
}

/// The libtorch that `$LIBTORCH` names.
fn from_variable(folder: &Path) -> Result<Libtorch> {
    let check = || {
        // Cargo runs build scripts in other folders.
        let folder = absolute(folder)?;
        Libtorch::new(&folder, python_of(&folder), "LIBTORCH")
    };
    check().with_context(|| {
        format!(
            "LIBTORCH is set to {}, which cannot be used; set it to a libtorch {VERSION}, \
             or unset it to have one found or installed",
            folder.display()
        )
    })
}

/// The torch of this Python, if it has the right version.
fn from_python(program: &Path) -> Option<Libtorch> {
    let python = Python::inspect(program).ok()?;
    match Libtorch::new(&python.torch?, Some(python.program), "Python's torch") {
        Ok(libtorch) => Some(libtorch),
        Err(reason) => {
            message(&format!("skipping torch of {}: {reason:#}", program.display()));
            None
        }
    }
}

/// The interpreter of the virtual environment whose package torch is in `folder`:
/// `<env>/lib/python3.x/site-packages/torch` or `<env>/Lib/site-packages/torch`.
fn python_of(folder: &Path) -> Option<PathBuf> {
    let packages = folder.parent()?;
    if packages.file_name()? != "site-packages" {
        return None;
    }
    packages.ancestors().skip(2).take(2).find_map(Python::in_environment)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::libtorch::{VERSION_PY, fake};

    fn search(home: &TempDir) -> Search {
        Search {
            explicit: None,
            explicit_python: None,
            cache: Cache::new(&home.path().join("cache")),
            pythons: vec![],
        }
    }

    fn error(search: &Search) -> String {
        match search.find() {
            Ok(found) => panic!("expected an error, found {found:?}"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn the_error_for_a_wrong_libtorch_variable_has_a_hint() -> Result<()> {
        let home = tempdir()?;
        fake(home.path(), "build-version", "2.9.1+cu128\n")?;
        let mut search = search(&home);
        search.explicit = Some(home.path().into());
        let text = error(&search);
        assert!(text.contains("is libtorch 2.9.1"), "{text}");
        assert!(text.contains("LIBTORCH is set to"), "{text}");
        assert!(text.contains("unset it"), "{text}");
        Ok(())
    }

    #[test]
    fn the_python_of_the_environment_around_libtorch_is_found() -> Result<()> {
        let home = tempdir()?;
        let torch = home.path().join("lib/python3.11/site-packages/torch");
        fake(&torch, "version.py", VERSION_PY)?;
        assert_eq!(python_of(&torch), None);
        let bin = home.path().join(if cfg!(windows) { "Scripts" } else { "bin" });
        let python = bin.join(if cfg!(windows) { "python.exe" } else { "python" });
        fs::create_dir_all(&bin)?;
        fs::write(&python, "")?;
        assert_eq!(python_of(&torch), Some(python.clone()));

        let mut search = search(&home);
        search.explicit = Some(torch.clone().into());
        let expected = Libtorch::new(&torch, Some(python), "LIBTORCH")?;
        assert_eq!(search.find_or_install()?, expected);
        search.explicit_python = Some("/my/python".into());
        let expected = expected.with_python("/my/python".into());
        assert_eq!(search.find_or_install()?, expected, "G2D_PYTHON of the user is kept");
        Ok(())
    }

    /// LIBTORCH comes before the cache, and the cache before the torch of a Python.
    #[cfg(unix)]
    #[test]
    fn the_first_suitable_libtorch_is_chosen() -> Result<()> {
        let home = tempdir()?;
        let suitable = home.path().join("suitable");
        fake(&suitable, "version.py", VERSION_PY)?;
        let old = home.path().join("old");
        fake(&old, "version.py", "__version__ = '2.12.0'\n")?;

        let mut search = search(&home);
        search.pythons = vec![
            home.path().join("absent"),
            crate::python::fake(home.path(), "without", None)?,
            crate::python::fake(home.path(), "old-python", Some(&old))?,
            crate::python::fake(home.path(), "new-python", Some(&suitable))?,
        ];
        let python = home.path().join("new-python");
        let expected = Libtorch::new(&suitable, Some(python), "Python's torch")?;
        assert_eq!(search.find()?, Some(expected));

        crate::cache::fake(&search.cache)?;
        assert_eq!(search.find()?, search.cache.complete());

        let explicit = home.path().join("explicit");
        fake(&explicit, "build-version", "2.13.0")?;
        search.explicit = Some(explicit.clone().into());
        assert_eq!(search.find()?, Some(Libtorch::new(&explicit, None, "LIBTORCH")?));

        // A wrong LIBTORCH is an error, not skipped.
        search.explicit = Some(old.into());
        assert!(error(&search).contains("2.12.0"));
        Ok(())
    }

    /// The environment of version 0.1.0: built under a temporary name, then renamed.
    #[cfg(unix)]
    fn renamed(cache: &Cache) -> Result<()> {
        crate::cache::fake(cache)?;
        let place = cache.place();
        let old = place.with_file_name("libtorch-2.13.0.partial-2593");
        let (old, bin) = (old.display(), place.join("bin"));
        fs::create_dir(&bin)?;
        fs::write(place.join("complete"), "2.13.0\nlib/python3.11/site-packages/torch\n")?;
        fs::write(place.join("pyvenv.cfg"), format!("command = python3 -m venv {old}\n"))?;
        fs::write(bin.join("activate"), format!("VIRTUAL_ENV=\"{old}\"\n"))?;
        fs::write(bin.join("launcher"), [0xff, 0xfe])?;
        std::os::unix::fs::symlink("/bin/sh", bin.join("python"))?;
        // As pip writes them for a path with a space.
        let script = format!("#!/bin/sh\n'exec' \"{old}/bin/python\" -c 'echo started'\n");
        crate::python::fake_program(&bin.join("torchrun"), &script)
    }

    #[cfg(unix)]
    #[test]
    fn the_scripts_of_a_renamed_installation_are_repaired_once() -> Result<()> {
        let home = tempdir()?;
        let place = Cache::new(&home.path().join("a cache")).place();
        let torchrun = place.join("bin/torchrun");
        let output = || -> Result<String> {
            // Not started itself, since this process has written it; see `python::fake_program`.
            let output = std::process::Command::new("sh").arg(&torchrun).output()?;
            Ok(String::from_utf8(output.stdout)?)
        };
        let mut search = search(&home);
        search.cache = Cache::new(&home.path().join("a cache"));
        renamed(&search.cache)?;
        assert_eq!(output()?, "", "its interpreter is gone");

        // By several processes at once.
        std::thread::scope(|scope| {
            let find = || assert!(matches!(search.find(), Ok(Some(_))));
            (0..4).for_each(|_| drop(scope.spawn(find)));
        });
        assert_eq!(output()?, "started\n");
        for name in ["pyvenv.cfg", "bin/activate"] {
            let text = fs::read_to_string(place.join(name))?;
            assert!(text.contains(&place.display().to_string()), "{text}");
            assert!(!text.contains("partial"), "{text}");
        }
        assert_eq!(fs::read(place.join("bin/launcher"))?, [0xff, 0xfe]);
        assert_eq!(fs::read_dir(place.join("bin"))?.count(), 4, "a temporary file is left");
        assert!(fs::read_to_string(place.join("complete"))?.ends_with("torch\nin place\n"));

        let text = "libtorch-2.13.0.partial-1";
        fs::write(&torchrun, text)?;
        search.find()?;
        assert_eq!(fs::read_to_string(&torchrun)?, text, "a repaired installation is left alone");
        Ok(())
    }

    #[test]
    fn without_any_libtorch_none_is_found() -> Result<()> {
        assert_eq!(search(&tempdir()?).find()?, None);
        Ok(())
    }
}
