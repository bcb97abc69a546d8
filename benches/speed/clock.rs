//! What a second is.

use std::{fs, time::Instant};

use anyhow::{Context, Result};

/// By what steps are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// The clock on the wall.
    Wall,
    /// What this process's threads have computed (Linux).
    Processor,
}

impl Clock {
    /// The seconds that `work` takes.
    pub fn time(self, work: impl FnOnce() -> Result<()>) -> Result<f64> {
        let (start, before) = (Instant::now(), self.computed()?);
        work()?;
        Ok(match self {
            Self::Wall => start.elapsed().as_secs_f64(),
            Self::Processor => self.computed()? - before,
        })
    }

    fn computed(self) -> Result<f64> {
        if self == Self::Wall {
            return Ok(0.0);
        }
        let mut nanoseconds = 0.0;
        for thread in fs::read_dir("/proc/self/task").context("--cpu-time needs Linux")? {
            // A thread that has ended meanwhile computes nothing more.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let first = text.split_whitespace().next().context("an empty schedstat")?;
            nanoseconds += first.parse::<f64>()?;
        }
        Ok(nanoseconds * 1e-9)
    }
}
