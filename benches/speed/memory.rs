//! Peak memory of a step, measured in a new process.

use std::{fs, process::Command, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use g2d::{
    distributed::{GroupConfig, ProcessGroup},
    trainer::{Precision, SuppressedMode},
};

use crate::{
    cremad::{CremadSetup, InputShape},
    results::{BenchmarkResults, number, print_table},
    rounds::Step,
    steps::{TrainingPhase, compact, g2d, in_group, plain},
};

/// The step whose memory is measured, `STEP:N`, such as `suppressed:16`: `plain`, `joint` and
/// `suppressed` are steps of the CREMA-D networks with N samples, `ranks_joint` and `ranks_suppressed` those
/// of a rank, `k_joint` and `k_suppressed` steps
/// of N compact encoders.
#[derive(Debug, Clone)]
pub struct MemoryProbe {
    step: String,
    n: i64,
}

impl FromStr for MemoryProbe {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (step, n) = text.split_once(':').context("expected STEP:N")?;
        Ok(Self { step: step.to_owned(), n: n.parse()? })
    }
}

impl MemoryProbe {
    pub fn new(step: &str, n: i64) -> Self {
        Self { step: step.to_owned(), n }
    }

    fn step(&self) -> Result<Step> {
        let setup = || {
            let shape = InputShape { batch: self.n, ..InputShape::CREMAD };
            CremadSetup::shared(shape, true)
        };
        let cremad = |phase: TrainingPhase| {
            let setup = setup()?;
            let cached = setup.borrow().cached_teachers();
            g2d(&setup, cached, phase, Precision::Full, SuppressedMode::Train)
        };
        let rank = |phase| {
            let group = ProcessGroup::from_env(&GroupConfig::default())?;
            in_group(InputShape { batch: self.n, ..InputShape::CREMAD }, phase, Some(&group))
        };
        match self.step.as_str() {
            "plain" => Ok(plain(&setup()?)),
            "joint" => cremad(TrainingPhase::Joint),
            "suppressed" => cremad(TrainingPhase::Suppressed),
            "ranks_joint" => rank(TrainingPhase::Joint),
            "ranks_suppressed" => rank(TrainingPhase::Suppressed),
            "k_joint" => compact(self.n as usize, TrainingPhase::Joint),
            "k_suppressed" => compact(self.n as usize, TrainingPhase::Suppressed),
            other => bail!("no step {other:?}"),
        }
    }

    /// The peak memory of the first step above that before it, in MiB: activations, gradients and
    /// momentum. Later steps use memory that the allocator has kept.
    pub fn peak(&self) -> Result<f64> {
        let mut step = self.step()?;
        fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak (Linux only)")?;
        let (before, code) = (status("VmRSS")?, status("RssFile")?);
        step()?;
        // Library code that the first step loads is not the step's memory.
        let loaded = status("RssFile")? - code;
        Ok((status("VmHWM")? - before - loaded) / 1024.0)
    }

    /// [`peak`](Self::peak) in a new process.
    pub fn peak_in_new_process(&self, threads: i32) -> Result<f64> {
        let argument = format!("{}:{}", self.step, self.n);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--threads", &threads.to_string(), "--memory", &argument]);
        let output = command.output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "--memory {argument} failed: {error}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    }
}

/// A value of /proc/self/status in KiB.
fn status(key: &str) -> Result<f64> {
    let text =
        fs::read_to_string("/proc/self/status").context("memory is measured on Linux only")?;
    let line = text.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(value.with_context(|| format!("no {key} in /proc/self/status"))?.parse()?)
}

/// Measures the memory of plain, joint and suppressed steps and adds their ratios.
pub fn measure(results: &mut BenchmarkResults, threads: i32) -> Result<()> {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: memory is measured on Linux only");
        return Ok(());
    }
    let mib = |step: &str| MemoryProbe::new(step, 16).peak_in_new_process(threads);
    let (plain, joint, suppressed) = (mib("plain")?, mib("joint")?, mib("suppressed")?);
    let row = |name: &str, mib: f64| vec![name.to_owned(), number(mib), number(mib / joint)];
    print_table(
        "Peak memory of a step",
        &["step", "MiB", "ratio to joint"],
        vec![row("plain", plain), row("joint", joint), row("suppressed", suppressed)],
    );
    results.add("memory_suppressed", suppressed / joint);
    results.add("memory_overhead", joint / plain);
    Ok(())
}
