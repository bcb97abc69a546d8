//! Wall-clock time and CPU time.

use std::{fs, time::Instant};

use anyhow::{Context, Result};

/// The clock by which steps are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Wall-clock time.
    Wall,
    /// CPU time of this process's threads, or of its child processes (Linux).
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

impl Clock {
    /// The duration in seconds of `work`, which runs a child process to its end.
    pub fn time_child(self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let start = match self {
            Self::Wall => return self.time(work),
            Self::Cpu => child_seconds()?,
        };
        work()?;
        Ok(child_seconds()? - start)
    }
}

/// The CPU time of all child processes that have ended.
fn child_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/stat").context("--cpu-time needs Linux")?;
    // The second field, the name in parentheses, may contain spaces.
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat is malformed")?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks: f64 = fields[13].parse::<f64>()? + fields[14].parse::<f64>()?; // cutime, cstime
    Ok(ticks / 100.0)
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
