//! Running cargo in the workspace root, with the environment that the build of tch needs.

use std::{
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::{
    command::{display, finish},
    libtorch::Libtorch,
};

/// The cargo that started this process, and the libtorch of its children.
#[derive(Debug)]
pub struct Cargo {
    program: OsString,
    root: PathBuf,
    libtorch: Option<Libtorch>,
}

impl Cargo {
    /// Cargo without libtorch, for builds with the feature `doc-only`.
    pub fn without_libtorch() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
        let root = Path::new(&manifest)
            .parent()
            .filter(|root| root.join("Cargo.toml").is_file())
            .with_context(|| {
            format!(
                "expected the workspace's Cargo.toml in the parent folder of {}, found none; \
                     run `cargo xtask` inside the workspace",
                Path::new(&manifest).display()
            )
        })?;
        Ok(Self {
            program: env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            root: root.to_owned(),
            libtorch: None,
        })
    }

    /// Cargo whose children build and run with `libtorch`.
    pub fn with_libtorch(self, libtorch: Libtorch) -> Self {
        Self { libtorch: Some(libtorch), ..self }
    }

    /// The workspace root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A cargo command without arguments.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.root);
        if let Some(libtorch) = &self.libtorch {
            command
                .envs(libtorch.variables())
                // torch-sys prefers it to LIBTORCH.
                .env_remove("LIBTORCH_USE_PYTORCH");
        }
        command
    }

    /// Runs cargo with `args` to completion.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Result<()> {
        finish(self.command().args(args))
    }

    /// The names of the workspace's examples, sorted.
    pub fn examples(&self) -> Result<Vec<String>> {
        let mut command = self.command();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("cannot start {}", display(&command)))?;
        ensure!(output.status.success(), "{} failed ({})", display(&command), output.status);
        let names = examples_in(&output.stdout)
            .with_context(|| format!("cannot read the output of {}", display(&command)))?;
        if names.is_empty() {
            bail!("expected examples in {}, found none", self.root.join("examples").display());
        }
        Ok(names)
    }
}

/// The names of the examples in the output of `cargo metadata`, sorted.
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
    fn children_get_libtorch_and_no_competing_variable() -> Result<()> {
        let libtorch = Libtorch::for_tests("/opt/torch", Some("/opt/bin/python3"));
        let command = Cargo::without_libtorch()?.with_libtorch(libtorch).command();
        let vars: Vec<_> = command.get_envs().collect();
        assert!(vars.contains(&("LIBTORCH".as_ref(), Some("/opt/torch".as_ref()))));
        assert!(vars.contains(&("G2D_PYTHON".as_ref(), Some("/opt/bin/python3".as_ref()))));
        assert!(vars.contains(&("LIBTORCH_USE_PYTORCH".as_ref(), None)));
        assert_eq!(vars.len(), 3, "no other variable is set");
        Ok(())
    }
}
