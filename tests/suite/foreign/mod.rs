//! Text that a stranger made: settings, reports and run folders. Never a panic; what is accepted is
//! written and read again as the same, and works or is refused where it is used.
//!
//! - `change.rs`: how valid text is spoilt.
//! - `settings.rs`: what a user's TOML or JSON may hold; `runs.rs`: a run folder and its report.
//!
//! `G2D_FUZZ_CASES=1000000 cargo test --test suite foreign` runs a million cases of each property.

mod change;
#[cfg(feature = "report")]
mod runs;
mod settings;
