//! The Python process that takes turns with us.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{clock::Clock, setting::Shape};

/// `benches/reference/step.py`, which computes only between a line to it and its answer.
pub struct Reference {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Reference {
    /// `None`, after a line that says so, where `$G2D_PYTHON` names no Python.
    pub fn start(threads: i32, shape: Shape) -> Result<Option<Self>> {
        let Some(python) = std::env::var_os("G2D_PYTHON") else {
            eprintln!("skipped: G2D_PYTHON names no Python with torch; no ratios against PyTorch");
            return Ok(None);
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reference/step.py");
        let Shape { batch, audio: [frequencies, columns], side } = shape;
        let numbers =
            [threads.into(), batch, frequencies, columns, side].map(|n: i64| n.to_string());
        let mut child = Command::new(python)
            .arg(script)
            .args(numbers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start $G2D_PYTHON")?;
        let to = child.stdin.take().context("no stdin")?;
        let from = BufReader::new(child.stdout.take().context("no stdout")?);
        let mut reference = Self { child, to, from };
        let ready = reference.line()?;
        ensure!(ready == "ready", "expected \"ready\" of step.py, found {ready:?}");
        Ok(Some(reference))
    }

    /// Seconds of one step.
    pub fn step(&mut self, variant: &str, clock: Clock) -> Result<f64> {
        writeln!(self.to, "{variant}")?;
        let line = self.line()?;
        let (wall, processor) = line.split_once(' ').context("two numbers of step.py")?;
        let seconds = match clock {
            Clock::Wall => wall,
            Clock::Processor => processor,
        };
        Ok(seconds.parse()?)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.from.read_line(&mut line)? > 0, "step.py has ended");
        Ok(line.trim().to_owned())
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
