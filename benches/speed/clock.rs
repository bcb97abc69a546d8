//! Wall-clock time and CPU time.

use std::{fs, time::Instant};

use anyhow::{Context, Result};

/// The clock by which steps are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Wall-clock time.
    Wall,
    /// CPU time of this process's threads (Linux).
    Cpu,
}

impl Clock {
    /// The duration of `work` in seconds.
    pub fn time(self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        match self {
            Self::Wall => {
                let start = Instant::now();
                work()?;
                Ok(start.elapsed().as_secs_f64())
            }
            Self::Cpu => {
                let start = cpu_seconds()?;
                work()?;
                Ok(cpu_seconds()? - start)
            }
        }
    }
}

fn cpu_seconds() -> Result<f64> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir("/proc/self/task").context("--cpu-time needs Linux")? {
        // A thread may have ended since the folder was listed.
        let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
        let first = text.split_whitespace().next().context("schedstat is empty")?;
        nanoseconds += first.parse::<f64>()?;
    }
    Ok(nanoseconds * 1e-9)
}
