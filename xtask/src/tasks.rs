//! The tasks: which cargo commands each one is.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::Command,
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    cargo::{self, Cargo},
    libtorch::{Libtorch, Sources},
    say::{note, seconds},
    shell::{self, Shell},
};

/// What tests and examples are built with.
const FEATURES: &str = "paper,progress,report,tensorboard";
/// The same, without libtorch.
const DOC_ONLY: &str = "paper,progress,report,tensorboard,doc-only";

/// The libtorch to build with, found or installed; says which.
fn libtorch() -> Result<Libtorch> {
    let libtorch = Sources::from_env()?.find_or_install()?;
    note(&libtorch.to_string());
    Ok(libtorch)
}

/// Cargo with libtorch found, or installed, in its environment.
pub fn with_libtorch() -> Result<Cargo> {
    Ok(Cargo::plain()?.with(libtorch()?))
}

/// The demo, whose results go to `target/g2d-demo` unless `args` say where.
pub fn demo(seed: Option<u64>, args: &[String]) -> Result<()> {
    let cargo = with_libtorch()?;
    let out = cargo.root().join("target").join("g2d-demo");
    let mut command = cargo.command();
    command.args(["run", "--features", FEATURES, "--example", "audio_visual", "--"]);
    if !args.iter().any(|arg| arg == "--out" || arg.starts_with("--out=")) {
        command.arg("--out").arg(out);
    }
    if let Some(seed) = seed {
        command.arg("--seed").arg(seed.to_string());
    }
    command.args(args);
    cargo::finish(&mut command)
}

/// A data set that every method is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Reproduction {
    /// The embedded spoken digits
    SpokenDigits,
    /// AV-Digits, from a folder in AV-MNIST's layout
    AvDigits,
    /// Houses: photographs and a table, to their price
    Houses,
}

impl Reproduction {
    /// Its name, the example that runs it and that example's arguments.
    fn recipe(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::SpokenDigits => ("spoken-digits", "audio_visual", &["--all-methods"]),
            // α of partial suppression was best on validation data at seed 100 among 0.1, 0.3 and 1.
            Self::AvDigits => (
                "av-digits",
                "audio_visual",
                &["--all-methods", "--epochs", "60", "--stage", "30", "--partial-alpha", "0.1"],
            ),
            Self::Houses => (
                "houses",
                "regression",
                &["--methods", "joint,joint_smp,umt,g2d_loss,g2d_smp,g2d_partial"],
            ),
        }
    }

    /// The folder that it is read from, where it is not embedded.
    fn data(self, cargo: &Cargo, given: Option<PathBuf>) -> Result<Option<PathBuf>> {
        let (name, form) = match self {
            Self::SpokenDigits => {
                ensure!(given.is_none(), "the spoken digits are embedded; leave --data out");
                return Ok(None);
            }
            Self::AvDigits => ("av-digits", "a folder in AV-MNIST's layout"),
            Self::Houses => ("houses", "a folder with train.csv, val.csv, test.csv and images/"),
        };
        let data = given.unwrap_or_else(|| cargo.root().join("../shared/data").join(name));
        let shown = data.display();
        ensure!(data.is_dir(), "expected {form}, found none at {shown}; pass --data DIR");
        Ok(Some(std::path::absolute(data)?))
    }
}

/// All methods over `seeds` seeds.
pub fn reproduce(
    which: Reproduction,
    data: Option<PathBuf>,
    seeds: u64,
    args: &[String],
) -> Result<()> {
    let cargo = with_libtorch()?;
    let (name, example, own) = which.recipe();
    let mut command = cargo.command();
    command.args(["run", "--features", FEATURES, "--example", example, "--"]);
    command.args(own).args(["--seed", "1", "--seeds", &seeds.to_string()]);
    if let Some(data) = which.data(&cargo, data)? {
        command.arg("--data").arg(data);
    }
    command.arg("--out").arg(cargo.root().join("target").join("reproduce").join(name));
    cargo::finish(command.args(args))
}

/// All tests but the benchmarks; `args` go to all of them but the doctests.
pub fn test(cargo: &Cargo, args: &[String]) -> Result<()> {
    let mut command = cargo.command();
    command.args(["test", "--features", FEATURES, "--workspace"]);
    command.args(["--lib", "--bins", "--tests", "--examples"]);
    cargo::finish(command.args(args))?;
    cargo.run(["test", "--features", FEATURES, "--doc"])
}

/// Format, lints and documentation.
///
/// Lints and documentation build with `doc-only`: no libtorch and no C++.
pub fn check(cargo: &Cargo) -> Result<()> {
    cargo.run(["fmt", "--all", "--check"])?;

    let mut clippy = cargo.command();
    clippy.args(["clippy", "--workspace", "--all-targets"]);
    clippy.args(["--features", DOC_ONLY, "--", "-D", "warnings"]);
    cargo::finish(&mut clippy)?;

    let mut doc = cargo.command();
    doc.args(["doc", "--no-deps", "--workspace", "--lib"]);
    doc.args(["--features", DOC_ONLY]);
    doc.env("RUSTDOCFLAGS", cargo::rustdocflags("-D warnings"));
    cargo::finish(&mut doc)
}

/// Every example, at its smallest.
pub fn examples(cargo: &Cargo) -> Result<()> {
    for example in cargo.examples()? {
        note(&format!("example {example}"));
        let mut command = cargo.command();
        command.args(["run", "--features", FEATURES, "--example", &example]);
        cargo::finish(command.args(["--", "--smoke"]))?;
    }
    Ok(())
}

/// Our steps beside plain ones, or the parts of a step; results in `target/bench`.
pub fn bench(quick: bool, parts: bool, args: &[String]) -> Result<()> {
    let cargo = with_libtorch()?;
    let mut command = benchmark(&cargo, if parts { "parts" } else { "speed" });
    if !parts {
        command.arg("--out").arg(cargo.root().join("target/bench/ratios.json"));
    }
    if quick {
        command.arg("--quick");
    }
    cargo::finish(command.args(args))
}

/// The speed benchmark at its smallest: does it still run?
fn bench_smoke(cargo: &Cargo) -> Result<()> {
    let out = cargo.root().join("target/bench/smoke.json");
    cargo::finish(benchmark(cargo, "speed").arg("--smoke").arg("--out").arg(out))
}

/// A benchmark, in the profile of all else: another would build libtorch's bindings again.
fn benchmark(cargo: &Cargo, name: &str) -> Command {
    let mut command = cargo.command();
    command.args(["bench", "--profile", "dev", "--features", FEATURES, "--bench", name, "--"]);
    command
}

/// What CI runs, quickest to fail first.
pub fn ci() -> Result<()> {
    stage("check", || check(&Cargo::plain()?))?;
    let cargo = stage("libtorch", with_libtorch)?;
    stage("test", || test(&cargo, &[]))?;
    stage("examples", || examples(&cargo))?;
    stage("bench", || bench_smoke(&cargo))
}

/// Does one stage of `ci` and says how it went and how long it took.
fn stage<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    note(&format!("{name} …"));
    let start = Instant::now();
    let result = work();
    let word = if result.is_ok() { "passed" } else { "FAILED" };
    note(&format!("{name} {word} in {}", seconds(start.elapsed())));
    result
}

/// Prints the environment, for a shell or an editor to read.
pub fn env(shell: Shell, ide: bool) -> Result<()> {
    let libtorch = libtorch()?;
    let text = if ide { shell::rust_analyzer(&libtorch)? } else { shell.exports(&libtorch)? };
    io::stdout().write_all(text.as_bytes()).context("cannot print the environment")
}
