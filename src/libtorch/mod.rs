//! Safe wrappers for libtorch functions that tch does not expose: the crate's only unsafe code.
//!
//! Each topic is a Rust file and, but for `allocator`, a C++ file of the same name, the shim, which
//! `build.rs` compiles unless the feature `doc-only` is on.
//!
//! - `allocator`: what the C library does with the memory of freed tensors.
//! - `autocast`: mixed precision in a given dtype, also on the CPU.
//! - `buffer`: copies tensors and checks that they are finite.
//! - `generator`: the state of the random number generators.
//! - `gradient`: clears gradients, scales them and checks that they are finite.
//! - `host`: reads and copies small tensors in host memory without the dispatcher.
//! - `modes`: the gradient mode and autocast, to be restored after a panic.
//! - `optimizer`: fused optimizer steps, and gradient clipping without synchronisation.
//! - `pinned`: pinned memory.
//! - `process_group`, `store`, `reducer` (feature `distributed`): groups of ranks, how they meet, and
//!   gradients reduced over them. `nccl.cpp` makes NCCL's group by its symbols; `stubs/` has what libtorch's
//!   headers need of gloo's.
//! - `script`: TorchScript modules whose parameters and buffers can be trained.
//! - `trace`: TorchScript modules recorded from a function, for any batch size.
//! - `version`: the version of libtorch.
#![allow(unsafe_code)]

mod allocator;
mod autocast;
mod buffer;
mod generator;
mod gradient;
mod host;
mod modes;
mod optimizer;
mod pinned;
#[cfg(feature = "distributed")]
mod process_group;
#[cfg(feature = "distributed")]
mod reducer;
mod script;
#[cfg(feature = "distributed")]
mod store;
mod trace;
mod version;

use std::ffi::{CStr, c_char};

use tch::TchError;

pub(crate) use allocator::tune as tune_allocator;
pub(crate) use autocast::Autocast;
pub(crate) use buffer::{any_not_finite, copy};
pub(crate) use generator::{generator_state, restore_generator};
pub(crate) use gradient::{clear_grads, scale_grads, set_grads};
pub(crate) use host::{detach, integers, number, numbers, select_rows};
pub(crate) use modes::Modes;
pub(crate) use optimizer::{AdamArgs, AdamMoments, SgdArgs, adam, clip_grad_norm, sgd};
pub(crate) use pinned::pin;
#[cfg(feature = "distributed")]
pub(crate) use process_group::{GroupArgs, Listen, RawGroup};
#[cfg(feature = "distributed")]
pub(crate) use reducer::RawReducer;
pub(crate) use script::{ScriptModule, Signature};
#[cfg(feature = "distributed")]
pub(crate) use store::Store;
pub(crate) use trace::{Method as TracedMethod, TraceError};
pub(crate) use version::version;

use crate::error::{Error, Result};

unsafe extern "C" {
    fn g2d_free(message: *mut c_char);
}

/// Converts the error message that a function of the shim returns, null for success, and frees it.
fn check(doing: &str, message: *mut c_char) -> Result<()> {
    checked(message).map_err(|source| Error::torch(doing, source))
}

/// As [`check`], with the error of libtorch alone.
fn checked(message: *mut c_char) -> std::result::Result<(), TchError> {
    text(message).map_or(Ok(()), |text| Err(TchError::Torch(text)))
}

/// The text that a function of the shim returns, and frees it; `None` for null.
fn text(message: *mut c_char) -> Option<String> {
    // SAFETY: a non-null message is a NUL-terminated string from `strdup`, freed here once.
    (!message.is_null()).then(|| unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        g2d_free(message);
        text
    })
}

/// A timeout in milliseconds, at least 1.
#[cfg(feature = "distributed")]
fn milliseconds(timeout: std::time::Duration) -> i64 {
    i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX / 1_000_000).max(1)
}
