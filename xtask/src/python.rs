//! Asking a Python what it has, without the seconds that `import torch` takes.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::cargo::shown;

/// The oldest Python that torch still comes for.
pub const OLDEST: (u32, u32) = (3, 10);

/// Prints one fact a line. The current folder is taken off the path: a folder
/// there that happens to be called `torch` is no package.
const QUESTION: &str = r#"
import os, sys
sys.path[:] = [p for p in sys.path if p]
from importlib.util import find_spec
torch = find_spec("torch")
print(sys.executable)
print(*sys.version_info[:2], sep=".")
print(all(find_spec(m) for m in ("venv", "ensurepip")))
print(os.path.dirname(torch.origin) if torch and torch.origin else "")
"#;

/// A Python that runs, and what it has.
#[derive(Debug, PartialEq, Eq)]
pub struct Python {
    /// The interpreter itself, where `program` may have been a launcher.
    pub program: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
    /// Whether it can make a virtual environment with pip in it.
    pub has_venv: bool,
    /// The folder of its torch.
    pub torch: Option<PathBuf>,
}

impl Python {
    /// The Pythons to ask: the active virtual environment's, then PATH's.
    pub fn names(active: Option<&Path>) -> Vec<PathBuf> {
        active
            .and_then(Self::in_environment)
            .into_iter()
            .chain(["python3".into(), "python".into()])
            .collect()
    }

    /// The interpreter of the environment rooted at `root`, if there is one.
    pub fn in_environment(root: &Path) -> Option<PathBuf> {
        let names: &[&str] = if cfg!(windows) {
            &["Scripts/python.exe", "python.exe"]
        } else {
            &["bin/python", "bin/python3"]
        };
        names.iter().map(|name| root.join(name)).find(|python| python.is_file())
    }

    /// Runs `program` and asks it.
    pub fn ask(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["-X", "utf8", "-c", QUESTION]);
        let output = command
            // Away from the workspace, so that nothing in it is imported.
            .current_dir(env::temp_dir())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{} does not start", program.display()))?;
        ensure!(
            output.status.success(),
            "{} failed ({}): {}",
            program.display(),
            output.status,
            last_line(&output.stderr)
        );
        let text = String::from_utf8_lossy(&output.stdout);
        Self::parse(&text).with_context(|| {
            format!(
                "expected four lines about {}, got {text:?} from {}",
                program.display(),
                shown(&command).lines().next().unwrap_or_default()
            )
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(str::trim_end);
        let mut next = || lines.next().ok_or_else(|| anyhow!("the answer ends early"));
        let program = next()?;
        ensure!(!program.is_empty(), "the interpreter does not know its path");
        let version = next()?;
        let (major, minor) = version.split_once('.').context("no version")?;
        let has_venv = next()? == "True";
        let torch = next()?;
        Ok(Self {
            program: program.into(),
            version: (major.parse()?, minor.parse()?),
            has_venv,
            torch: (!torch.is_empty()).then(|| torch.into()),
        })
    }

    /// Whether torch can be installed with this Python; if not, why.
    pub fn can_install(&self) -> Result<()> {
        let (major, minor) = self.version;
        ensure!(
            self.version >= OLDEST,
            "{} is Python {major}.{minor}, torch needs {}.{} or newer",
            self.program.display(),
            OLDEST.0,
            OLDEST.1
        );
        ensure!(self.has_venv, "{} lacks the modules venv and ensurepip", self.program.display());
        Ok(())
    }
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.trim_end().lines().last().unwrap_or("it said nothing").to_owned()
}

/// A program that answers like a Python, for this crate's tests.
#[cfg(all(test, unix))]
pub fn fake(folder: &Path, name: &str, torch: Option<&Path>) -> Result<PathBuf> {
    let program = folder.join(name);
    let torch = torch.unwrap_or(Path::new(""));
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' '{}' 3.11 False '{}'\n",
        program.display(),
        torch.display()
    );
    fake_program(&program, &script)?;
    Ok(program)
}

/// Writes a script that can be run at once.
///
/// Another process opens it for writing: were it this one, a test that starts
/// a program at that moment would pass the open file on, and the script would
/// be refused as busy.
#[cfg(all(test, unix))]
pub fn fake_program(program: &Path, script: &str) -> Result<()> {
    let mut write = Command::new("sh");
    write.args(["-c", r#"printf '%s' "$1" >"$0" && chmod +x "$0""#]);
    let status = write.arg(program).arg(script).status()?;
    ensure!(status.success(), "cannot write {}", program.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() -> Result<()> {
        let python = Python::parse("/usr/bin/python3\r\n3.11\r\nTrue\r\n/p/torch\r\n")?;
        assert_eq!(python.program, Path::new("/usr/bin/python3"));
        assert_eq!(python.version, (3, 11));
        assert_eq!(python.torch, Some("/p/torch".into()));
        assert!(python.can_install().is_ok());
        assert!(Python::parse("/usr/bin/python3\n3.11\n").is_err());
        assert!(Python::parse("\n3.11\nTrue\n\n").is_err());
        Ok(())
    }

    #[test]
    fn unfit_pythons_say_why() -> Result<()> {
        let old = Python::parse("/usr/bin/python3\n3.9\nTrue\n\n")?;
        assert_eq!(old.torch, None);
        let Err(error) = old.can_install() else {
            panic!("Python 3.9 was taken");
        };
        assert!(error.to_string().contains("3.10 or newer"), "{error}");
        let bare = Python::parse("/usr/bin/python3\n3.14\nFalse\n\n")?;
        let Err(error) = bare.can_install() else {
            panic!("a Python without venv was taken");
        };
        assert!(error.to_string().contains("ensurepip"), "{error}");
        Ok(())
    }

    #[test]
    fn the_active_environment_comes_first() -> Result<()> {
        let home = tempfile::tempdir()?;
        assert_eq!(Python::names(Some(home.path())).len(), 2);
        let bin = if cfg!(windows) { "Scripts" } else { "bin" };
        let exe = if cfg!(windows) { "python.exe" } else { "python" };
        std::fs::create_dir(home.path().join(bin))?;
        std::fs::write(home.path().join(bin).join(exe), "")?;
        let names = Python::names(Some(home.path()));
        assert_eq!(names[0], home.path().join(bin).join(exe));
        assert_eq!(names[1..], [PathBuf::from("python3"), "python".into()]);
        Ok(())
    }
}
