//! How many cases a property is tried on.

use proptest::test_runner::Config;

/// `cases`, or as many as `G2D_FUZZ_CASES` says.
pub fn fuzz(cases: u32) -> Config {
    let asked = std::env::var("G2D_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok());
    Config { failure_persistence: None, ..Config::with_cases(asked.unwrap_or(cases)) }
}
