//! What takes long: `cargo test --test long` makes it short, these make it whole.
//!
//! - `soak.rs`: every feature at once, memory and file handles flat:
//!   `G2D_SOAK_STEPS=20000 cargo test --test long soak -- --nocapture`
//! - `bf16.rs`: bf16 reaches fp32's result on the demo's data:
//!   `cargo test --test long bf16 -- --ignored --nocapture`

mod bf16;
#[cfg(target_os = "linux")]
mod soak;
