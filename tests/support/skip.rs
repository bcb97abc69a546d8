//! Tests that are skipped.

use std::{fmt::Display, io::Write as _};

/// Says that a test was skipped, and why, past the harness, which captures `println!` of tests that
/// pass.
pub fn skipped(why: impl Display) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
