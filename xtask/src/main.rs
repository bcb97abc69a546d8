//! `cargo xtask`: finds or installs libtorch, then runs cargo with it.
//!
//! tch links against exactly one version of libtorch. Modules, low to high; each imports only from
//! those above it:
//!
//! - `terminal`: messages; `command`: child processes.
//! - `python`: interpreters that may have torch; `libtorch`: a libtorch of the right version.
//! - `scripts`: those of a virtual environment.
//! - `cache`: the installation in the user's cache folder; `install`: its creation.
//! - `search`: the places to find libtorch, in order.
//! - `ranks`: several ranks of a program.
//! - `cargo`: cargo with libtorch; `shell`: the environment for shells and editors.
//! - `reproduce`, `tasks`: the tasks.
//!
//! Every task can be done with plain cargo after `eval "$(cargo xtask env)"`. Messages go to stderr;
//! stdout contains only what `env` prints.

mod cache;
mod cargo;
mod command;
mod install;
mod libtorch;
mod python;
mod ranks;
mod reproduce;
mod scripts;
mod search;
mod shell;
mod tasks;
mod terminal;

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{cargo::Cargo, command::Failed, reproduce::Reproduction, shell::Shell};

/// Find or install libtorch, then run cargo with it.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version = None)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run the demo, the example `audio_visual`; results in target/g2d-demo
    Demo {
        /// Seed of all random numbers
        #[arg(long)]
        seed: Option<u64>,
        /// Arguments of the example (for its help: `demo -- --help`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run every method over several seeds; results in target/reproduce/NAME
    Reproduce {
        /// The data set
        name: Reproduction,
        /// Folder of the data set, unless it is embedded [default: ../shared/data/NAME]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Number of seeds, counted from 1
        #[arg(long, default_value_t = 5)]
        seeds: u64,
        /// Compare the parts of balanced training, alone and together, instead of all methods
        #[arg(long)]
        ablation: bool,
        /// Arguments of the example
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Start ranks of an example on this host, which train together: `distributed 2 -- features --smoke`
    Distributed {
        /// Number of ranks
        ranks: usize,
        /// The example, audio_visual or features, and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run all tests, including doctests
    Test {
        /// Arguments of `cargo test`, such as a filter (not applied to doctests)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Check formatting, lints, feature sets and documentation (without libtorch)
    Check,
    /// Run every example once with --smoke
    Examples,
    /// Compare step times with plain PyTorch and tch; results in target/bench/ratios.json
    Bench {
        /// Fewer rounds: less than eight minutes on two cores
        #[arg(long)]
        quick: bool,
        /// Time the parts of a step instead
        #[arg(long, conflicts_with = "quick")]
        parts: bool,
        /// Arguments of the benchmark (for its help: `bench -- --help`)
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run everything that CI requires: check, test, examples, and the benchmark with --smoke
    Ci,
    /// Print the environment that plain cargo needs: eval "$(cargo xtask env)"
    Env {
        /// Syntax of the output
        #[arg(long, value_enum, default_value_t)]
        shell: Shell,
        /// Print settings of rust-analyzer (JSON) instead
        #[arg(long, conflicts_with = "shell")]
        ide: bool,
    },
    /// Run any cargo command with libtorch: `cargo xtask run -- bench`
    Run {
        /// Arguments of cargo
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Failed>() {
            // The child has printed the reason.
            Some(failed) => ExitCode::from(failed.code()),
            None => {
                // Users can correct these errors; a backtrace would not help them.
                eprintln!("error: {error}");
                for cause in error.chain().skip(1) {
                    eprintln!("  caused by: {cause}");
                }
                ExitCode::FAILURE
            }
        },
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Demo { seed, args } => tasks::demo(seed, &args),
        Task::Reproduce { name, data, seeds, ablation, args } => {
            tasks::reproduce(name, data, seeds, ablation, &args)
        }
        Task::Distributed { ranks, args } => tasks::distributed(ranks, &args[0], &args[1..]),
        Task::Test { args } => tasks::test(&tasks::cargo_with_libtorch()?, &args),
        Task::Check => tasks::check(&Cargo::without_libtorch()?),
        Task::Examples => tasks::examples(&tasks::cargo_with_libtorch()?),
        Task::Bench { quick, parts, args } => tasks::bench(quick, parts, &args),
        Task::Ci => tasks::ci(),
        Task::Env { shell, ide } => tasks::env(shell, ide),
        Task::Run { args } => tasks::cargo_with_libtorch()?.run(&args),
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
    fn the_command_line_definition_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn demo_parses_its_seed_and_forwards_the_rest() {
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
    fn bench_accepts_quick_or_parts() {
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
    fn run_accepts_cargo_arguments_with_and_without_dashes() {
        for line in [&["run", "bench", "--no-run"][..], &["run", "--", "bench", "--no-run"]] {
            let Task::Run { args } = parse(line) else {
                panic!("not run");
            };
            assert_eq!(args, ["bench", "--no-run"]);
        }
    }

    #[test]
    fn inner_dashes_are_forwarded_to_the_tests() {
        let Task::Test { args } = parse(&["test", "kappa", "--", "--nocapture"]) else {
            panic!("not test");
        };
        assert_eq!(args, ["kappa", "--", "--nocapture"]);
    }
}
