//! What libtorch can do and tch does not expose, behind a safe face: the only unsafe code here.
//!
//! Each topic is a Rust file and the C++ file of the same name, which `build.rs` compiles; the
//! feature `doc-only` leaves the latter out.
//!
//! - `autocast`: mixed precision with a chosen kind, on CPU too.
//! - `generator`: the random generators' state.
//! - `gradient`: makes gradients undefined, scales and checks them.
//! - `optimizer`: fused update rules, and clipping that does not wait.
//! - `pinned`: copies a tensor to page-locked memory.
//! - `version`: which libtorch this is.
#![allow(unsafe_code)]

mod autocast;
mod generator;
mod gradient;
mod optimizer;
mod pinned;
mod version;

use std::ffi::{CStr, c_char};

use tch::TchError;

pub(crate) use autocast::Autocast;
pub(crate) use generator::{generator_state, restore_generator};
pub(crate) use gradient::{clear_grads, scale_grads};
pub(crate) use optimizer::{AdamMoments, AdamNumbers, SgdNumbers, adam, clip_grad_norm, sgd};
pub(crate) use pinned::pin;
pub(crate) use version::version;

use crate::error::{Error, Result};

unsafe extern "C" {
    fn g2d_free(message: *mut c_char);
}

/// Turns the shim's answer into a `Result` and frees its message.
fn check(doing: &str, message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: a non-null answer is a NUL-terminated string made by `strdup`, ours to free once.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        g2d_free(message);
        text
    };
    Err(Error::torch(doing, TchError::Torch(text)))
}
