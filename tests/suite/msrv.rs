//! The minimum supported Rust version.

use std::process::Command;

use serde_json::Value;

use crate::support::stdout;

/// Version 1.88 as (1, 88).
fn version(text: &str) -> (u64, u64) {
    let mut parts = text.split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap_or(0))
}

#[test]
fn no_dependency_needs_a_newer_rust_than_this_crate_states() {
    let rustc = stdout(Command::new("rustc").arg("-vV"));
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--format-version", "1", "--offline", "--locked"]);
    cargo.args(["--features", "paper,progress,report,tensorboard", "--filter-platform", host]);
    let metadata = stdout(cargo.current_dir(env!("CARGO_MANIFEST_DIR")));
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let ours = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().unwrap();
    let stated = packages.iter().filter(|package| !package["source"].is_null());
    let stated = stated.filter_map(|package| Some((package, package["rust_version"].as_str()?)));
    let stated: Vec<_> = stated.map(|(p, rust)| (version(rust), p["name"].to_string())).collect();
    assert!(stated.len() > 50, "{} dependencies state a version", stated.len());
    let newest = stated.iter().max().unwrap();
    assert!(newest.0 <= ours, "{} needs {:?}, the crate states {ours:?}", newest.1, newest.0);
}
