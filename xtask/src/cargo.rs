//! Running cargo: the one that started us, in the workspace's root, with the
//! environment that the build of tch needs.

use std::{
    env,
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::libtorch::Libtorch;

/// Cargo, and what its children need to know.
#[derive(Debug)]
pub struct Cargo {
    program: OsString,
    root: PathBuf,
    libtorch: Option<Libtorch>,
}

impl Cargo {
    /// Cargo as it is, without libtorch: for what builds with `doc-only`.
    pub fn plain() -> Result<Self> {
        let here = env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root = Path::new(&here)
            .parent()
            .filter(|root| root.join("Cargo.toml").is_file())
            .with_context(|| {
                format!(
                    "expected the workspace's Cargo.toml in the folder above {}, found none; \
                     start this program as `cargo xtask` inside the workspace",
                    Path::new(&here).display()
                )
            })?;
        Ok(Self {
            program: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            root: root.to_owned(),
            libtorch: None,
        })
    }

    /// The same cargo, whose children build and run with this libtorch.
    pub fn with(self, libtorch: Libtorch) -> Self {
        Self { libtorch: Some(libtorch), ..self }
    }

    /// The workspace's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A cargo command to add arguments to; run it with [`finish`].
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.root);
        if let Some(libtorch) = &self.libtorch {
            command
                .envs(libtorch.variables())
                // torch-sys would follow it rather than LIBTORCH.
                .env_remove("LIBTORCH_USE_PYTORCH");
        }
        command
    }

    /// Runs cargo with these arguments to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<()> {
        finish(self.command().args(args))
    }

    /// The names of the workspace's examples, sorted.
    pub fn examples(&self) -> Result<Vec<String>> {
        let mut command = self.command();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = command
            .stderr(std::process::Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", shown(&command)))?;
        ensure!(output.status.success(), "{} failed ({})", shown(&command), output.status);
        let names = examples_in(&output.stdout)
            .with_context(|| format!("cannot read the answer of {}", shown(&command)))?;
        if names.is_empty() {
            bail!("expected examples in {}, found none", self.root.join("examples").display());
        }
        Ok(names)
    }
}

/// The examples named in what `cargo metadata` prints.
fn examples_in(metadata: &[u8]) -> Result<Vec<String>> {
    let metadata: serde_json::Value = serde_json::from_slice(metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .ok_or_else(|| anyhow!("expected a list \"packages\", found none"))?;
    let mut names: Vec<String> = packages
        .iter()
        .filter_map(|package| package["targets"].as_array())
        .flatten()
        .filter(|target| {
            let kinds = target["kind"].as_array();
            kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind == "example"))
        })
        .filter_map(|target| target["name"].as_str().map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

/// What RUSTDOCFLAGS was, and these flags after it.
pub fn rustdocflags(flags: &str) -> OsString {
    let mut all = env::var_os("RUSTDOCFLAGS").unwrap_or_default();
    if !all.is_empty() {
        all.push(" ");
    }
    all.push(flags);
    all
}

/// Runs the command to its end, on our own stdin, stdout and stderr.
///
/// An exit code other than zero comes back as [`Failed`].
pub fn finish(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| {
        format!("cannot start {}; is cargo installed and on PATH?", shown(command))
    })?;
    if status.success() { Ok(()) } else { Err(Failed(status).into()) }
}

/// A child that ended with an exit code other than zero, or by a signal.
///
/// It has already said why on stderr.
#[derive(Debug)]
pub struct Failed(ExitStatus);

impl Failed {
    /// The exit code to end with: the child's own, or 128 plus its signal.
    pub fn code(&self) -> u8 {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&self.0) {
            return u8::try_from(128 + signal).unwrap_or(1);
        }
        // Codes above 255 exist on Windows only; none may turn into a zero.
        self.0.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the command failed ({})", self.0)
    }
}

impl std::error::Error for Failed {}

/// The command as a person would type it.
pub fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_read_from_metadata() {
        let metadata = br#"{"packages": [
            {"name": "g2d", "targets": [
                {"kind": ["lib"], "name": "g2d"},
                {"kind": ["example"], "name": "quickstart"},
                {"kind": ["example"], "name": "audio_visual"}]},
            {"name": "xtask", "targets": [{"kind": ["bin"], "name": "xtask"}]}]}"#;
        assert_eq!(
            examples_in(metadata).ok(),
            Some(vec!["audio_visual".into(), "quickstart".into()])
        );
        assert!(examples_in(b"{}").is_err());
    }

    #[test]
    fn children_get_libtorch_and_not_the_rival_variable() -> Result<()> {
        let libtorch = Libtorch::for_tests("/opt/torch", Some("/opt/bin/python3"));
        let command = Cargo::plain()?.with(libtorch).command();
        let vars: Vec<_> = command.get_envs().collect();
        assert!(vars.contains(&("LIBTORCH".as_ref(), Some("/opt/torch".as_ref()))));
        assert!(vars.contains(&("G2D_PYTHON".as_ref(), Some("/opt/bin/python3".as_ref()))));
        assert!(vars.contains(&("LIBTORCH_USE_PYTORCH".as_ref(), None)));
        assert_eq!(vars.len(), 3, "nothing else is set");
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_failed_child_keeps_its_exit_code() {
        let code = |script: &str| {
            let error = finish(Command::new("sh").args(["-c", script])).err();
            error.and_then(|error| error.downcast_ref::<Failed>().map(Failed::code))
        };
        assert_eq!(code("exit 0"), None);
        assert_eq!(code("exit 101"), Some(101));
        assert_eq!(code("kill -9 $$"), Some(137));
    }
}
