//! Python interpreters, inspected without the seconds that `import torch` takes.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::command::display;

/// The oldest Python that torch supports.
pub const OLDEST: (u32, u32) = (3, 10);

/// Prints one property per line. The current folder is removed from the path, since a folder there
/// that is called `torch` is no package.
const INSPECT: &str = r#"
import os, sys
sys.path[:] = [p for p in sys.path if p]
from importlib.util import find_spec
torch = find_spec("torch")
print(sys.executable)
print(*sys.version_info[:2], sep=".")
print(all(find_spec(m) for m in ("venv", "ensurepip")))
print(os.path.dirname(torch.origin) if torch and torch.origin else "")
"#;

/// A Python interpreter that starts.
#[derive(Debug, PartialEq, Eq)]
pub struct Python {
    /// The interpreter itself, also where a launcher was started.
    pub program: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
    /// Whether it can create a virtual environment that contains pip.
    pub has_venv: bool,
    /// The folder of its package torch.
    pub torch: Option<PathBuf>,
}

impl Python {
    /// The interpreters to inspect: that of the active virtual environment, then those on PATH.
    pub fn candidates(active_environment: Option<&Path>) -> Vec<PathBuf> {
        active_environment
            .and_then(Self::in_environment)
            .into_iter()
            .chain(["python3".into(), "python".into()])
            .collect()
    }

    /// The interpreter of the virtual environment at `root`, if there is one.
    pub fn in_environment(root: &Path) -> Option<PathBuf> {
        let names: &[&str] = if cfg!(windows) {
            &["Scripts/python.exe", "python.exe"]
        } else {
            &["bin/python", "bin/python3"]
        };
        names.iter().map(|name| root.join(name)).find(|python| python.is_file())
    }

    /// Runs `program` to find its properties.
    pub fn inspect(program: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["-X", "utf8", "-c", INSPECT]);
        let output = command
            // Outside the workspace, so that nothing in it is imported.
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
                "expected four lines about {}, found {text:?} in the output of {}",
                program.display(),
                display(&command).lines().next().unwrap_or_default()
            )
        })
    }

    fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines().map(str::trim_end);
        let mut next = || lines.next().ok_or_else(|| anyhow!("a line is missing"));
        let program = next()?;
        ensure!(!program.is_empty(), "the path of the interpreter is empty");
        let version = next()?;
        let (major, minor) = version.split_once('.').context("the version has no dot")?;
        let has_venv = next()? == "True";
        let torch = next()?;
        Ok(Self {
            program: program.into(),
            version: (major.parse()?, minor.parse()?),
            has_venv,
            torch: (!torch.is_empty()).then(|| torch.into()),
        })
    }

    /// Checks that torch can be installed with this interpreter.
    pub fn check_can_install(&self) -> Result<()> {
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
    text.trim_end().lines().last().unwrap_or("no message on stderr").to_owned()
}

/// A program that prints the properties of a Python.
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

/// Writes a script that can be started at once.
///
/// Another process opens the file for writing. If this process did, a test that starts a program at
/// that moment would inherit the open file, and the system would refuse to start the script as busy.
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
    fn the_output_of_the_inspection_is_parsed() -> Result<()> {
        let python = Python::parse("/usr/bin/python3\r\n3.11\r\nTrue\r\n/p/torch\r\n")?;
        assert_eq!(python.program, Path::new("/usr/bin/python3"));
        assert_eq!(python.version, (3, 11));
        assert_eq!(python.torch, Some("/p/torch".into()));
        assert!(python.check_can_install().is_ok());
        assert!(Python::parse("/usr/bin/python3\n3.11\n").is_err());
        assert!(Python::parse("\n3.11\nTrue\n\n").is_err());
        Ok(())
    }

    #[test]
    fn the_error_for_an_unsuitable_python_names_the_reason() -> Result<()> {
        let old = Python::parse("/usr/bin/python3\n3.9\nTrue\n\n")?;
        assert_eq!(old.torch, None);
        let Err(error) = old.check_can_install() else {
            panic!("Python 3.9 was accepted");
        };
        assert!(error.to_string().contains("3.10 or newer"), "{error}");
        let bare = Python::parse("/usr/bin/python3\n3.14\nFalse\n\n")?;
        let Err(error) = bare.check_can_install() else {
            panic!("a Python without venv was accepted");
        };
        assert!(error.to_string().contains("ensurepip"), "{error}");
        Ok(())
    }

    #[test]
    fn the_active_environment_comes_first() -> Result<()> {
        let home = tempfile::tempdir()?;
        assert_eq!(Python::candidates(Some(home.path())).len(), 2);
        let bin = if cfg!(windows) { "Scripts" } else { "bin" };
        let exe = if cfg!(windows) { "python.exe" } else { "python" };
        std::fs::create_dir(home.path().join(bin))?;
        std::fs::write(home.path().join(bin).join(exe), "")?;
        let candidates = Python::candidates(Some(home.path()));
        assert_eq!(candidates[0], home.path().join(bin).join(exe));
        assert_eq!(candidates[1..], [PathBuf::from("python3"), "python".into()]);
        Ok(())
    }
}
