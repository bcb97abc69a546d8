//! Tests against Python.

use std::{path::PathBuf, process::Command};

use super::skipped;

/// The interpreter that the variable `G2D_PYTHON` names; without one, reports a skipped test and
/// returns `None`.
pub fn python() -> Option<Command> {
    let python = std::env::var_os("G2D_PYTHON");
    if python.is_none() {
        skipped("G2D_PYTHON names no Python with torch and safetensors");
    }
    let mut command = Command::new(python?);
    command.arg("-B");
    Some(command)
}

/// The path of a script in `tests/python/`.
pub fn script(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "python", name].iter().collect()
}

/// The standard output of a command that must succeed.
#[track_caller]
pub fn stdout(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
