//! Tests that need a process of their own.

use std::process::Command;

use super::stdout;

/// Runs the test at this path in a process of its own, where no other test draws from libtorch's
/// generator. Returns whether the caller is already in that process.
#[track_caller]
pub fn in_own_process(test: &str) -> bool {
    in_own_process_with(test, &[])
}

/// As [`in_own_process`], with further variables of its environment.
#[track_caller]
pub fn in_own_process_with(test: &str, variables: &[(&str, &str)]) -> bool {
    const VARIABLE: &str = "G2D_TEST_IN_OWN_PROCESS";
    if std::env::var(VARIABLE).is_ok_and(|name| name == test) {
        return true;
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(VARIABLE, test);
    child.envs(variables.iter().copied());
    let output = stdout(&mut child);
    assert!(output.contains("1 passed"), "no test {test}: {output}");
    false
}
