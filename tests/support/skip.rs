//! Skipped tests.

use std::{fmt::Display, io::Write as _};

/// Reports a skipped test on standard error: the harness captures `println!` of tests that pass.
pub fn skipped(why: impl Display) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
