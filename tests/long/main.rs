//! Tests that take minutes at full length.
//!
//! - `soak.rs`: memory and file handles stay constant with all features in use. Full length:
//!   `G2D_SOAK_STEPS=20000 cargo test --test long soak -- --nocapture`
//! - `bf16.rs`: bf16 reaches the accuracy of fp32 on the demo's data:
//!   `cargo test --test long bf16 -- --ignored --nocapture`
//! - `scale.rs`: the memory of data sets of 200,000 clips, caches of 10 million samples and checkpoints of
//!   a billion parameters: `cargo test --test long scale -- --ignored --nocapture`. They need 20 GB of disk
//!   in the temporary folder, and 12 GB of memory; with less, the checkpoint has a tenth of the size.

mod bf16;
#[allow(dead_code, reason = "benchmarks use the rest")]
#[path = "../../benches/support/cremad_files.rs"]
mod cremad_files;
#[cfg(target_os = "linux")]
mod scale;
#[cfg(target_os = "linux")]
mod soak;
#[path = "../support/mod.rs"]
mod support;
