//! The tasks, as cargo commands.

use std::{
    env,
    ffi::OsString,
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result};

use crate::{
    cargo::Cargo,
    command::{finish, finish_build},
    libtorch::Libtorch,
    ranks::run_ranks,
    reproduce::Reproduction,
    search::Search,
    shell::{self, Shell},
    terminal::{format_duration, message},
};

/// The optional features of g2d. Tests and examples need all of them.
const FEATURES: [&str; 5] = ["distributed", "paper", "progress", "report", "tensorboard"];
/// Optimises g2d itself, which the profile leaves out for short builds.
const OPTIMISED: [&str; 2] = ["--config", "profile.dev.package.g2d.opt-level=2"];
/// The feature that builds without libtorch and without a C++ compiler.
const DOC_ONLY: &str = "doc-only";

fn all_features() -> String {
    FEATURES.join(",")
}

/// Finds or installs libtorch and prints which one it is.
fn libtorch() -> Result<Libtorch> {
    let libtorch = Search::from_env()?.find_or_install()?;
    message(&libtorch.to_string());
    Ok(libtorch)
}

/// Cargo with a libtorch that is found or installed.
pub fn cargo_with_libtorch() -> Result<Cargo> {
    Ok(Cargo::without_libtorch()?.with_libtorch(libtorch()?))
}

/// A command that runs an example; the caller adds the example's arguments.
fn run_example(cargo: &Cargo, example: &str) -> Command {
    let mut command = cargo.command();
    command.args(["run", "--features", &all_features(), "--example", example, "--"]);
    command
}

/// Runs the demo. Its results go to `target/g2d-demo` unless `args` contain `--out`.
pub fn demo(seed: Option<u64>, args: &[String]) -> Result<()> {
    let cargo = cargo_with_libtorch()?;
    let mut build = cargo.command();
    build.args(["build", "--features", &all_features(), "--example", "audio_visual"]);
    message("building the demo; the first time, libtorch's bindings alone take over a minute");
    finish_build(&mut build)?;
    let mut command = run_example(&cargo, "audio_visual");
    if !args.iter().any(|arg| arg == "--out" || arg.starts_with("--out=")) {
        command.arg("--out").arg(cargo.root().join("target").join("g2d-demo"));
    }
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    finish(command.args(args))
}

/// Runs every method, or the ablation of balanced training, on a data set over `seeds` seeds.
pub fn reproduce(
    data_set: Reproduction,
    data: Option<PathBuf>,
    seeds: u64,
    ablation: bool,
    args: &[String],
) -> Result<()> {
    let cargo = cargo_with_libtorch()?;
    let (example, own) = data_set.example();
    let mut command = cargo.command();
    command.args(["run", "--features", &all_features()]).args(OPTIMISED);
    command.args(["--example", example, "--"]);
    command.arg(if ablation { "--ablation" } else { "--all-methods" });
    command.args(own).args(data_set.strengths()).args([
        "--seed",
        "1",
        "--seeds",
        &seeds.to_string(),
    ]);
    if let Some(data) = data_set.data(&cargo, data)? {
        command.arg("--data").arg(data);
    }
    let name = format!("{}{}", data_set.name(), if ablation { "-ablation" } else { "" });
    let out = cargo.root().join("target").join("reproduce").join(name);
    finish(command.arg("--out").arg(out).args(args))
}

/// Runs all tests except benchmarks; `args` apply to all of them except doctests.
pub fn test(cargo: &Cargo, args: &[String]) -> Result<()> {
    let mut command = cargo.command();
    command.args(["test", "--features", &all_features(), "--workspace"]);
    command.args(["--lib", "--bins", "--tests", "--examples"]);
    finish(command.args(args))?;
    cargo.run(["test", "--features", &all_features(), "--doc"])
}

/// Checks formatting, lints and documentation. None of it needs libtorch.
pub fn check(cargo: &Cargo) -> Result<()> {
    cargo.run(["fmt", "--all", "--check"])?;

    let features = format!("{DOC_ONLY},{}", all_features());
    clippy(cargo, &["--workspace", "--all-targets"], &features)?;
    for features in feature_sets() {
        clippy(cargo, &["--package", "g2d", "--lib"], &features)?;
    }

    let mut doc = cargo.command();
    doc.args(["doc", "--no-deps", "--workspace", "--lib", "--features", &features]);
    finish(doc.env("RUSTDOCFLAGS", with_flag(env::var_os("RUSTDOCFLAGS"), "-D warnings")))
}

/// The default features alone, then each optional feature alone.
fn feature_sets() -> impl Iterator<Item = String> {
    let single = FEATURES.iter().map(|feature| format!("{DOC_ONLY},{feature}"));
    std::iter::once(DOC_ONLY.to_owned()).chain(single)
}

fn clippy(cargo: &Cargo, targets: &[&str], features: &str) -> Result<()> {
    let mut clippy = cargo.command();
    clippy.arg("clippy").args(targets).args(["--features", features, "--", "-D", "warnings"]);
    finish(&mut clippy)
}

/// The value of a variable of compiler flags, with `flag` appended.
fn with_flag(flags: Option<OsString>, flag: &str) -> OsString {
    let mut all = flags.unwrap_or_default();
    if !all.is_empty() {
        all.push(" ");
    }
    all.push(flag);
    all
}

/// Starts `ranks` processes of an example on this host, which train together.
pub fn distributed(ranks: usize, example: &str, args: &[String]) -> Result<()> {
    let cargo = cargo_with_libtorch()?;
    cargo.run(["build", "--features", &all_features(), "--example", example])?;
    let rank = |local: Vec<(&'static str, String)>| {
        let mut command = run_example(&cargo, example);
        command.arg("--distributed").args(args).envs(local);
        command
    };
    run_ranks(ranks, rank)
}

/// Runs every example with `--smoke`.
pub fn examples(cargo: &Cargo) -> Result<()> {
    for example in cargo.examples()? {
        message(&format!("example {example}"));
        finish(run_example(cargo, &example).arg("--smoke"))?;
    }
    Ok(())
}

/// Compares steps with plain ones, or times the parts of a step. Results go to `target/bench`.
pub fn bench(quick: bool, parts: bool, args: &[String]) -> Result<()> {
    let cargo = cargo_with_libtorch()?;
    let mut command = benchmark(&cargo, if parts { "parts" } else { "speed" }, &OPTIMISED);
    if !parts {
        build_recipe(&cargo, &OPTIMISED)?;
        command.arg("--out").arg(cargo.root().join("target/bench/ratios.json"));
    }
    if quick {
        command.arg("--quick");
    }
    finish(command.args(args))
}

/// Runs the speed benchmark with its smallest shapes, to test that it works.
fn bench_smoke(cargo: &Cargo) -> Result<()> {
    build_recipe(cargo, &[])?;
    let out = cargo.root().join("target/bench/smoke.json");
    finish(benchmark(cargo, "speed", &[]).arg("--smoke").arg("--out").arg(out))
}

/// Builds the example that the benchmark `speed` runs as a process, with `options` of cargo.
fn build_recipe(cargo: &Cargo, options: &[&str]) -> Result<()> {
    let mut command = cargo.command();
    command.args(["build", "--features", &all_features()]).args(options);
    finish_build(command.args(["--example", "audio_visual"]))
}

/// A command that runs a benchmark in the profile of all other builds, since another profile would
/// build libtorch's bindings again, with `options` of cargo.
fn benchmark(cargo: &Cargo, name: &str, options: &[&str]) -> Command {
    let mut command = cargo.command();
    command.args(["bench", "--profile", "dev", "--package", "g2d-benches"]);
    command.args(options).args(["--bench", name, "--"]);
    command
}

/// Runs everything that CI requires, in order of duration.
pub fn ci() -> Result<()> {
    stage("check", || check(&Cargo::without_libtorch()?))?;
    let cargo = stage("libtorch", cargo_with_libtorch)?;
    stage("test", || test(&cargo, &[]))?;
    stage("examples", || examples(&cargo))?;
    stage("bench", || bench_smoke(&cargo))
}

/// Runs one stage of `ci` and prints its result and duration.
fn stage<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    message(&format!("{name} …"));
    let start = Instant::now();
    let result = work();
    let verdict = if result.is_ok() { "passed" } else { "FAILED" };
    message(&format!("{name} {verdict} in {}", format_duration(start.elapsed())));
    result
}

/// Prints the environment for a shell or an editor.
pub fn env(shell: Shell, ide: bool) -> Result<()> {
    let libtorch = libtorch()?;
    let text = if ide { shell::rust_analyzer(&libtorch)? } else { shell.exports(&libtorch)? };
    io::stdout().write_all(text.as_bytes()).context("cannot print the environment")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_optional_feature_of_g2d_is_checked_alone() -> Result<()> {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let manifest = std::fs::read_to_string(manifest)?;
        let section = manifest.split("\n[features]\n").nth(1).context("no features")?;
        let section = section.split("\n[").next().context("no features")?;
        // Not those that are passed through to tch.
        let optional = |line: &&str| {
            let named = line.contains(" = [") && !line.starts_with("default ");
            named && !line.contains("tch/")
        };
        let mut names: Vec<&str> =
            section.lines().filter(optional).filter_map(|line| line.split(' ').next()).collect();
        names.sort_unstable();
        assert_eq!(names, FEATURES);
        let sets: Vec<String> = feature_sets().collect();
        assert_eq!(sets.len(), 1 + FEATURES.len());
        assert_eq!(sets[..2], ["doc-only", "doc-only,distributed"]);
        Ok(())
    }

    #[test]
    fn flags_of_the_user_are_kept() {
        assert_eq!(with_flag(None, "-D warnings"), "-D warnings");
        assert_eq!(with_flag(Some("--cfg x".into()), "-D warnings"), "--cfg x -D warnings");
    }
}
