//! The Python process that runs the authors' step.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use crate::{clock::Clock, cremad::InputShape};

/// A running `benches/reference/step.py`. It computes only between a request and its reply, so it
/// never competes with the steps of this process.
pub struct Reference {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Reference {
    /// Starts the process. Returns `None`, with a message, if `$G2D_PYTHON` is not set.
    pub fn start(threads: i32, shape: InputShape) -> Result<Option<Self>> {
        let Some(python) = std::env::var_os("G2D_PYTHON") else {
            eprintln!("skipped: G2D_PYTHON is not set, so there are no ratios to PyTorch");
            return Ok(None);
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/step.py");
        let InputShape { batch, audio: [frequencies, columns], side } = shape;
        let numbers =
            [threads.into(), batch, frequencies, columns, side].map(|n: i64| n.to_string());
        let mut child = Command::new(python)
            .arg(script)
            .args(numbers)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start $G2D_PYTHON")?;
        let requests = child.stdin.take().context("the process has no stdin")?;
        let replies = BufReader::new(child.stdout.take().context("the process has no stdout")?);
        let mut reference = Self { child, requests, replies };
        let ready = reference.reply()?;
        ensure!(ready == "ready", "expected \"ready\" from step.py, found {ready:?}");
        Ok(Some(reference))
    }

    /// Runs one step and returns its seconds.
    pub fn step(&mut self, variant: &str, clock: Clock) -> Result<f64> {
        writeln!(self.requests, "{variant}")?;
        let line = self.reply()?;
        let (wall, cpu) = line.split_once(' ').context("expected two numbers from step.py")?;
        let seconds = match clock {
            Clock::Wall => wall,
            Clock::Cpu => cpu,
        };
        Ok(seconds.parse()?)
    }

    fn reply(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.replies.read_line(&mut line)? > 0, "step.py has ended");
        Ok(line.trim().to_owned())
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
