//! What libtorch can do and tch does not expose, behind a safe face: the only unsafe code here.
//!
//! `shim.cpp` is compiled by `build.rs`; the feature `doc-only` leaves it out.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};

use tch::{TchError, Tensor};
use torch_sys::C_tensor;

use crate::{Error, Result};

unsafe extern "C" {
    fn g2d_free(message: *mut c_char);
    fn g2d_clear_grad(tensor: *mut C_tensor) -> *mut c_char;
}

/// Makes the gradient of `tensor` undefined, so that no optimizer steps it.
///
/// A zero gradient would not do: momentum and weight decay move a parameter that has one.
pub(crate) fn clear_grad(tensor: &Tensor) -> Result<()> {
    // SAFETY: `as_ptr` is a live `at::Tensor*` for as long as `tensor` is borrowed. The shim only
    // resets the gradient slot of the shared implementation, which tch's own `&self` methods
    // (`zero_grad`, `backward`) change as well.
    check("clear a gradient", unsafe { g2d_clear_grad(tensor.as_ptr().cast_mut()) })
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
