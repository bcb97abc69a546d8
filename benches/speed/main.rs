//! Step times relative to plain PyTorch and plain tch: `cargo xtask bench`.
//!
//! docs/performance.md explains the names of the ratios. Modules, low to high; each imports only from
//! those above it:
//!
//! - `clock.rs`: wall-clock and CPU time; `rounds.rs`: interleaved rounds, medians and ratios.
//! - `results.rs`: tables and the file of ratios.
//! - `cremad.rs`: the paper's CREMA-D networks and shapes; `cremad_files`: generated files.
//! - `steps.rs`: steps by hand and by the trainer; `reference.rs`: the same step in Python.
//! - `step_time.rs`: ratios of step times; `memory.rs`: peak memory; `overhead.rs`: the trainer's own
//!   time; `loading.rs`: the data pipeline.
//! - `network.rs`: the time of a reduction, on paper; `ranks.rs`: steps of several ranks.
//! - `recipe.rs`: the whole recipe, as processes.
//! - `scaling.rs`: time and memory by number of modalities and by batch size.

mod clock;
mod cremad;
#[path = "../support/cremad_files.rs"]
mod cremad_files;
mod loading;
mod memory;
mod network;
mod overhead;
mod ranks;
mod recipe;
mod reference;
mod results;
mod rounds;
mod scaling;
mod step_time;
mod steps;

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use g2d::allocator;

use crate::{
    clock::Clock, cremad::InputShape, memory::MemoryProbe, recipe::Recipe,
    results::BenchmarkResults,
};

#[derive(Debug, Parser)]
struct Arguments {
    /// Fewer rounds, without the tables of scaling: less than eight minutes on two cores
    #[arg(long)]
    quick: bool,
    /// Run everything once with the smallest shapes, to test that it works
    #[arg(long)]
    smoke: bool,
    /// Measure the whole recipe alone
    #[arg(long)]
    recipe: bool,
    /// Folder in the layout of AV-MNIST for the recipe [default: generated data]
    #[arg(long, value_name = "DIR")]
    recipe_data: Option<PathBuf>,
    /// Measure several ranks alone
    #[arg(long)]
    ranks: bool,
    /// File for the ratios, as JSON
    #[arg(long, default_value = "target/bench/ratios.json")]
    out: PathBuf,
    /// Number of threads, in this process and in Python [default: number of cores]
    #[arg(long)]
    threads: Option<i32>,
    /// Number of rounds for step times [default: 15, 5 with --quick, 1 with --smoke]
    #[arg(long)]
    rounds: Option<usize>,
    /// Measure CPU time instead of wall-clock time: for a machine under other load, best with
    /// --threads 1
    #[arg(long)]
    cpu_time: bool,
    /// Run one step and print its peak memory, for this program's own use
    #[arg(long, hide = true)]
    memory: Option<MemoryProbe>,
    /// Measure this number of rounds as a rank, for this program's own use
    #[arg(long, hide = true)]
    rank: Option<usize>,
    /// Passed by cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let Arguments {
        quick,
        smoke,
        recipe,
        recipe_data,
        ranks,
        out,
        threads,
        rounds,
        cpu_time,
        memory,
        rank,
        ..
    } = Arguments::parse();
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as i32);
    let threads = threads.unwrap_or(cores);
    tch::set_num_threads(threads);
    tch::manual_seed(1);
    if let Some(probe) = memory {
        println!("{}", probe.peak()?);
        return Ok(());
    }

    let shape = if smoke { InputShape::SMOKE } else { InputShape::CREMAD };
    if let Some(rounds) = rank {
        return ranks::measure_rank(shape, rounds);
    }
    // As the examples do; each measurement of memory has a process of its own.
    allocator::tune();
    let clock = if cpu_time { Clock::Cpu } else { Clock::Wall };
    let mut results = BenchmarkResults::new(threads, clock);
    if recipe || !(quick || ranks) {
        let rounds = if smoke { 1 } else { rounds.unwrap_or(3) };
        Recipe::new(recipe_data, smoke, threads, clock)?.measure(&mut results, rounds)?;
    }
    if ranks || !(quick || recipe) {
        let rounds = if smoke { 1 } else { rounds.unwrap_or(7) };
        ranks::measure(&mut results, smoke, rounds)?;
    }
    if recipe || ranks {
        return results.finish(&out);
    }
    let rounds = rounds.unwrap_or(match (smoke, quick) {
        (true, _) => 1,
        (_, true) => 5,
        _ => 15,
    });
    let plain = step_time::measure(&mut results, shape, rounds, threads, clock)?;
    overhead::measure(&mut results, smoke, plain)?;
    if !smoke {
        memory::measure(&mut results, threads)?;
    }
    loading::measure(&mut results, smoke, threads as usize)?;
    if !quick && !smoke {
        scaling::by_modalities(threads)?;
        scaling::by_batch_size(threads)?;
    }
    results.finish(&out)
}
