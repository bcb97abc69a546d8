//! A test in a process of its own.

use std::process::Command;

use super::stdout;

/// Runs the test at this path in a process of its own, where no other test draws from libtorch's
/// generator. Returns whether this is that process.
#[track_caller]
pub fn alone(test: &str) -> bool {
    const VARIABLE: &str = "G2D_TEST_ALONE";
    if std::env::var(VARIABLE).is_ok_and(|name| name == test) {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(VARIABLE, test);
    let output = stdout(&mut child);
    assert!(output.contains("1 passed"), "no test {test}: {output}");
    false
}
