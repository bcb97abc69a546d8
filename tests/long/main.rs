//! Tests that take minutes at full length.
//!
//! - `soak.rs`: memory and file handles stay constant with all features in use. Full length:
//!   `G2D_SOAK_STEPS=20000 cargo test --test long soak -- --nocapture`
//! - `bf16.rs`: bf16 reaches the accuracy of fp32 on the demo's data:
//!   `cargo test --test long bf16 -- --ignored --nocapture`

mod bf16;
#[cfg(target_os = "linux")]
mod soak;
#[path = "../support/mod.rs"]
mod support;
