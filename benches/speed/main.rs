//! How fast a step is: ratios against a plain PyTorch step and a plain tch step, interleaved.
//!
//! `cargo xtask bench` runs it; docs/performance.md says what every name means.
//!
//! - `setting.rs`: the paper's CREMA-D networks and shapes.
//! - `ours.rs`: the steps that are timed; `reference.rs`: the same in Python, by turns.
//! - `rounds.rs`: A B A B, and medians of ratios within a round; `clock.rs`: what a second is.
//! - `memory.rs`: peak memory, in processes of its own.
//! - `growth.rs`: modalities, batch sizes, own overhead; `tiny.rs`: the model that it shows best on.
//! - `loading.rs`: the data pipeline on generated files.
//! - `results.rs`: the tables and the file.

mod clock;
mod growth;
mod loading;
mod memory;
mod ours;
mod reference;
mod results;
mod rounds;
mod setting;
mod tiny;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

use crate::{clock::Clock, memory::Measured, results::Results};

#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer rounds, and no tables of growth: below eight minutes on two cores
    #[arg(long)]
    quick: bool,
    /// Everything once, at the smallest shapes: does it run at all?
    #[arg(long)]
    smoke: bool,
    /// Where the ratios go, as JSON
    #[arg(long, default_value = "target/bench/ratios.json")]
    out: PathBuf,
    /// Threads on both sides [default: all cores]
    #[arg(long)]
    threads: Option<i32>,
    /// Rounds of the ratios
    #[arg(long)]
    rounds: Option<usize>,
    /// Counts the processor's seconds, not the clock's: for a machine that does other work, best with
    /// --threads 1
    #[arg(long)]
    cpu_time: bool,
    /// Makes one step and prints its peak memory: how this program asks itself
    #[arg(long, hide = true)]
    memory: Option<Measured>,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as i32);
    let threads = arguments.threads.unwrap_or(cores);
    tch::set_num_threads(threads);
    tch::manual_seed(1);
    if let Some(measured) = arguments.memory {
        println!("{}", measured.peak()?);
        return Ok(());
    }

    let clock = if arguments.cpu_time { Clock::Processor } else { Clock::Wall };
    let shape = if arguments.smoke { setting::Shape::SMOKE } else { setting::Shape::CREMAD };
    let rounds = arguments.rounds.unwrap_or(match (arguments.smoke, arguments.quick) {
        (true, _) => 1,
        (_, true) => 5,
        _ => 15,
    });
    let mut results = Results::new(threads, clock);
    ours::compare(&mut results, shape, rounds, threads, clock)?;
    growth::overhead(&mut results, arguments.smoke)?;
    if !arguments.smoke {
        memory::compare(&mut results, threads)?;
    }
    loading::compare(&mut results, arguments.smoke, threads as usize)?;
    if !arguments.quick && !arguments.smoke {
        growth::modalities(&mut results, threads)?;
        growth::batches(&mut results, threads)?;
    }
    results.finish(&arguments.out)
}
