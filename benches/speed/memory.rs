//! Peak memory of a step, each in a fresh process.

use std::{cell::RefCell, fs, process::Command, rc::Rc, str::FromStr};

use anyhow::{Context, Result, bail, ensure};
use g2d::trainer::{Precision, SuppressedMode};

use crate::{
    growth,
    ours::{self, Phase},
    results::{Results, number},
    rounds::Contestant,
    setting::{Setting, Shape},
};

/// Whose memory: `STEP:N`, as in `suppressed:16`. `plain`, `joint` and `suppressed` are of the CREMA-D
/// networks and N samples, `k_joint` and `k_suppressed` of compact ones and N modalities.
#[derive(Debug, Clone)]
pub struct Measured {
    step: String,
    n: i64,
}

impl FromStr for Measured {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (step, n) = text.split_once(':').context("expected STEP:N")?;
        Ok(Self { step: step.to_owned(), n: n.parse()? })
    }
}

impl Measured {
    pub fn new(step: &str, n: i64) -> Self {
        Self { step: step.to_owned(), n }
    }

    fn contestant(&self) -> Result<Contestant> {
        let (full, train) = (Precision::Full, SuppressedMode::Train);
        let cremad = |phase: Option<Phase>| {
            let shape = Shape { batch: self.n, ..Shape::CREMAD };
            let setting = Rc::new(RefCell::new(Setting::new(shape, true)?));
            let Some(phase) = phase else { return Ok(ours::plain(&setting)) };
            let cached = setting.borrow().cached();
            ours::g2d(&setting, cached, phase, full, train)
        };
        match self.step.as_str() {
            "plain" => cremad(None),
            "joint" => cremad(Some(Phase::Joint)),
            "suppressed" => cremad(Some(Phase::Suppressed)),
            "k_joint" => growth::many(self.n as usize, Phase::Joint),
            "k_suppressed" => growth::many(self.n as usize, Phase::Suppressed),
            other => bail!("no step {other:?}"),
        }
    }

    /// MiB above what there was before the first step: activations, gradients, momentum.
    ///
    /// The first step, since what it allocates is kept.
    pub fn peak(&self) -> Result<f64> {
        let mut step = self.contestant()?;
        fs::write("/proc/self/clear_refs", "5").context("cannot reset the peak (Linux only)")?;
        let (before, code) = (status("VmRSS")?, status("RssFile")?);
        step()?;
        // The library's code that the first step loads is nobody's.
        let loaded = status("RssFile")? - code;
        Ok((status("VmHWM")? - before - loaded) / 1024.0)
    }

    /// [`peak`](Self::peak) in a process of its own.
    pub fn ask(&self, threads: i32) -> Result<f64> {
        let argument = format!("{}:{}", self.step, self.n);
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--threads", &threads.to_string(), "--memory", &argument]);
        let output = command.output()?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "--memory {argument} failed: {error}");
        Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
    }
}

/// KiB that the kernel counts.
fn status(key: &str) -> Result<f64> {
    let text = fs::read_to_string("/proc/self/status").context("memory is read on Linux only")?;
    let line = text.lines().find(|line| line.starts_with(key)).context("an unknown kernel")?;
    Ok(line.split_whitespace().nth(1).context("an unknown kernel")?.parse()?)
}

/// Joint and suppressed step.
pub fn compare(results: &mut Results, threads: i32) -> Result<()> {
    if !cfg!(target_os = "linux") {
        eprintln!("skipped: memory is read on Linux only");
        return Ok(());
    }
    let ask = |step: &str| Measured::new(step, 16).ask(threads);
    let (plain, joint, suppressed) = (ask("plain")?, ask("joint")?, ask("suppressed")?);
    let row = |name: &str, mib: f64| vec![name.to_owned(), number(mib), number(mib / joint)];
    results.table(
        "Peak memory of a step above what was there before",
        &["step", "MiB", "of the joint step's"],
        vec![row("plain", plain), row("joint", joint), row("suppressed", suppressed)],
    );
    results.put("memory_suppressed", suppressed / joint);
    results.put("memory_overhead", joint / plain);
    Ok(())
}
