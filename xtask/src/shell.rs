//! The environment, in the syntax of shells and editors.

use std::{env, ffi::OsStr};

use anyhow::{Result, anyhow};
use clap::ValueEnum;

use crate::libtorch::Libtorch;

/// A shell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// sh, bash, zsh and compatible shells
    Sh,
    /// fish
    Fish,
    /// PowerShell: cargo xtask env | Out-String | Invoke-Expression
    Powershell,
}

impl Default for Shell {
    fn default() -> Self {
        if cfg!(windows) { Self::Powershell } else { Self::Sh }
    }
}

impl Shell {
    /// The commands after which plain cargo finds `libtorch`.
    pub fn exports(self, libtorch: &Libtorch) -> Result<String> {
        let mut text = String::new();
        for (name, value) in libtorch.variables() {
            text += &self.export(name, utf8(name, value)?);
        }
        // torch-sys prefers it to LIBTORCH.
        let competing = "LIBTORCH_USE_PYTORCH";
        if env::var_os(competing).is_some() {
            text += &self.unset(competing);
        }
        Ok(text)
    }

    /// Sets a variable, in single quotes, in which none of the shells expands anything.
    fn export(self, name: &str, value: &str) -> String {
        match self {
            Self::Sh => format!("export {name}='{}'\n", value.replace('\'', r"'\''")),
            Self::Fish => {
                let value = value.replace('\\', r"\\").replace('\'', r"\'");
                format!("set -gx {name} '{value}'\n")
            }
            Self::Powershell => format!("$env:{name} = '{}'\n", value.replace('\'', "''")),
        }
    }

    fn unset(self, name: &str) -> String {
        match self {
            Self::Sh => format!("unset {name}\n"),
            Self::Fish => format!("set -e {name}\n"),
            Self::Powershell => format!("Remove-Item Env:{name}\n"),
        }
    }
}

/// The settings with which rust-analyzer builds with `libtorch`, as JSON.
pub fn rust_analyzer(libtorch: &Libtorch) -> Result<String> {
    let mut extra = serde_json::Map::new();
    for (name, value) in libtorch.variables() {
        extra.insert(name.to_owned(), utf8(name, value)?.into());
    }
    let settings = serde_json::json!({ "rust-analyzer.cargo.extraEnv": extra });
    Ok(serde_json::to_string_pretty(&settings)? + "\n")
}

fn utf8<'a>(name: &str, value: &'a OsStr) -> Result<&'a str> {
    value.to_str().ok_or_else(|| {
        anyhow!(
            "expected a path in UTF-8 for {name}, found {value:?}; \
             use `cargo xtask run -- …`, which supports any path, or move the folder"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_characters_are_quoted() {
        let hard = r"/a b/it's $HOME\x";
        let line = |shell: Shell| shell.export("LIBTORCH", hard);
        assert_eq!(line(Shell::Sh), "export LIBTORCH='/a b/it'\\''s $HOME\\x'\n");
        assert_eq!(line(Shell::Fish), "set -gx LIBTORCH '/a b/it\\'s $HOME\\\\x'\n");
        assert_eq!(line(Shell::Powershell), "$env:LIBTORCH = '/a b/it''s $HOME\\x'\n");
    }

    #[cfg(unix)]
    #[test]
    fn sh_evaluates_the_exports_to_the_same_values() -> Result<()> {
        let hard = r#"/a b/it's "$HOME" `x` \n"#;
        let libtorch = Libtorch::for_tests(hard, Some("/p q/python3"));
        let script = Shell::Sh.exports(&libtorch)? + r#"printf '%s|%s' "$LIBTORCH" "$G2D_PYTHON""#;
        let output = std::process::Command::new("sh").args(["-c", &script]).output()?;
        assert_eq!(String::from_utf8(output.stdout)?, format!("{hard}|/p q/python3"));
        Ok(())
    }

    #[test]
    fn an_unknown_python_is_omitted() -> Result<()> {
        let libtorch = Libtorch::for_tests("/opt/torch", None);
        assert!(!Shell::Sh.exports(&libtorch)?.contains("G2D_PYTHON"));
        Ok(())
    }

    #[test]
    fn the_editor_settings_are_json() -> Result<()> {
        let libtorch = Libtorch::for_tests(r"C:\a b", Some("py"));
        let settings: serde_json::Value = serde_json::from_str(&rust_analyzer(&libtorch)?)?;
        let extra = &settings["rust-analyzer.cargo.extraEnv"];
        assert_eq!(extra["LIBTORCH"], r"C:\a b");
        assert_eq!(extra["G2D_PYTHON"], "py");
        Ok(())
    }
}
