//! Child processes.

use std::{
    fmt,
    io::{self, IsTerminal as _},
    process::{Command, ExitStatus},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use crate::terminal::{format_duration, message};

/// The time between two messages of a build.
const INTERVAL: Duration = Duration::from_secs(30);

/// Runs `command` to completion on this process's stdin, stdout and stderr.
///
/// # Errors
/// [`Failed`] for an exit code other than zero.
pub fn finish(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| {
        format!("cannot start {}; is cargo installed and on PATH?", display(command))
    })?;
    if status.success() { Ok(()) } else { Err(Failed(status).into()) }
}

/// Runs a build as [`finish`]. Cargo draws a progress bar on a terminal; elsewhere a message tells every
/// half minute that the build continues.
pub fn finish_build(command: &mut Command) -> Result<()> {
    if io::stderr().is_terminal() {
        return finish(command);
    }
    let (running, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let start = Instant::now();
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                message(&format!("building for {}", format_duration(start.elapsed())));
            }
        });
        let result = finish(command);
        drop(running);
        result
    })
}

/// A child process that ended with an exit code other than zero or by a signal. It has already
/// printed the reason to stderr.
#[derive(Debug)]
pub struct Failed(ExitStatus);

impl Failed {
    /// The failure of a child with this status, which is not a success.
    pub fn new(status: ExitStatus) -> Self {
        Self(status)
    }

    /// The exit code for this process: the child's own, or 128 plus its signal.
    pub fn code(&self) -> u8 {
        #[cfg(unix)]
        if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&self.0) {
            return u8::try_from(128 + signal).unwrap_or(1);
        }
        // Exit codes above 255 exist only on Windows; none of them may become zero.
        self.0.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the command failed ({})", self.0)
    }
}

impl std::error::Error for Failed {}

/// The command line of `command`, for messages.
pub fn display(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_failed_child_keeps_its_exit_code() {
        let code = |script: &str| {
            let error = finish(Command::new("sh").args(["-c", script])).err();
            error.and_then(|error| error.downcast_ref::<Failed>().map(Failed::code))
        };
        assert_eq!(code("exit 0"), None);
        assert_eq!(code("exit 101"), Some(101));
        assert_eq!(code("kill -9 $$"), Some(137));
    }
}
