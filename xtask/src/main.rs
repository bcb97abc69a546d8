//! `cargo xtask`: find or install libtorch, then run cargo with it.
//!
//! tch links against exactly one version of libtorch. This program finds it
//! ([`libtorch`]), installs it when there is none ([`install`]), and starts
//! cargo with the environment that the build needs ([`cargo`]). It has no
//! other duty: whatever it does can be done by plain cargo after
//! `eval "$(cargo xtask env)"`.
//!
//! Everything it says goes to stderr; stdout carries only what `env` prints.

mod cargo;
mod install;
mod libtorch;
mod python;
mod say;
mod shell;
mod tasks;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{cargo::Cargo, shell::Shell, tasks::Reproduction};

/// Find or install libtorch, then run cargo with it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version = None)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the demo: example `audio_visual`, results in target/g2d-demo
    Demo {
        /// Seed of every random choice
        #[arg(long)]
        seed: Option<u64>,
        /// Passed on to the example (its own help: `demo -- --help`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run every method over several seeds, results in target/reproduce/NAME
    Reproduce {
        /// The data set
        name: Reproduction,
        /// Its folder, where it is not the embedded one
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Number of seeds, counted up from 1
        #[arg(long, default_value_t = 5)]
        seeds: u64,
        /// Passed on to the example
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run all tests, doctests included
    Test {
        /// Passed on to `cargo test`, such as a filter (the doctests run without it)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check format, lints and documentation (needs no libtorch)
    Check,
    /// Run every example once with --smoke
    Examples,
    /// Compare our steps with plain ones: a table, and target/bench/ratios.json
    Bench {
        /// Below eight minutes on two cores
        #[arg(long)]
        quick: bool,
        /// Time the parts of a step instead
        #[arg(long, conflicts_with = "quick")]
        parts: bool,
        /// Passed on to the benchmark (its own help: `bench -- --help`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// What CI runs: check, test, examples, and the benchmark's smoke
    Ci,
    /// Print the environment that plain cargo needs: eval "$(cargo xtask env)"
    Env {
        /// The shell to print for
        #[arg(long, value_enum, default_value_t)]
        shell: Shell,
        /// Print rust-analyzer's settings (JSON) instead
        #[arg(long, conflicts_with = "shell")]
        ide: bool,
    },
    /// Run any cargo command with libtorch: `cargo xtask run -- bench`
    Run {
        /// Arguments to cargo
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match perform(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<cargo::Failed>() {
            // The child has said what went wrong; its exit code becomes ours.
            Some(failed) => ExitCode::from(failed.code()),
            None => {
                // Without the backtrace: these errors are for people to mend.
                eprintln!("error: {error}");
                for cause in error.chain().skip(1) {
                    eprintln!("  because: {cause}");
                }
                ExitCode::FAILURE
            }
        },
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Demo { seed, args } => tasks::demo(seed, &args),
        Task::Reproduce { name, data, seeds, args } => tasks::reproduce(name, data, seeds, &args),
        Task::Test { args } => tasks::test(&tasks::with_libtorch()?, &args),
        Task::Check => tasks::check(&Cargo::plain()?),
        Task::Examples => tasks::examples(&tasks::with_libtorch()?),
        Task::Bench { quick, parts, args } => tasks::bench(quick, parts, &args),
        Task::Ci => tasks::ci(),
        Task::Env { shell, ide } => tasks::env(shell, ide),
        Task::Run { args } => tasks::with_libtorch()?.run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &[&str]) -> Task {
        let line = std::iter::once("xtask").chain(line.iter().copied());
        match Cli::try_parse_from(line) {
            Ok(cli) => cli.task,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn demo_takes_its_seed_and_passes_on_the_rest() {
        let Task::Demo { seed, args } = parse(&["demo", "--seed", "7", "--epochs", "3"]) else {
            panic!("not the demo");
        };
        assert_eq!((seed, args), (Some(7), vec!["--epochs".into(), "3".to_owned()]));
        let Task::Demo { seed, args } = parse(&["demo", "--", "--help"]) else {
            panic!("not the demo");
        };
        assert_eq!((seed, args), (None, vec!["--help".to_owned()]));
    }

    #[test]
    fn bench_is_quick_or_of_parts() {
        let Task::Bench { quick: true, parts: false, args } = parse(&["bench", "--quick"]) else {
            panic!("not quick");
        };
        assert!(args.is_empty());
        let Task::Bench { parts: true, args, .. } = parse(&["bench", "--parts", "loss"]) else {
            panic!("not the parts");
        };
        assert_eq!(args, ["loss"]);
        assert!(Cli::try_parse_from(["xtask", "bench", "--quick", "--parts"]).is_err());
    }

    #[test]
    fn run_takes_cargo_arguments_with_or_without_dashes() {
        for line in [&["run", "bench", "--no-run"][..], &["run", "--", "bench", "--no-run"]] {
            let Task::Run { args } = parse(line) else {
                panic!("not run");
            };
            assert_eq!(args, ["bench", "--no-run"]);
        }
    }

    #[test]
    fn inner_dashes_reach_the_tests() {
        let Task::Test { args } = parse(&["test", "kappa", "--", "--nocapture"]) else {
            panic!("not test");
        };
        assert_eq!(args, ["kappa", "--", "--nocapture"]);
    }
}
