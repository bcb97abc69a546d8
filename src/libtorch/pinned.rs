//! Pinned memory, without the deprecated device argument that tch always passes.

use std::{ffi::c_char, ptr};

use tch::Tensor;
use torch_sys::C_tensor;

use super::check;
use crate::error::Result;

unsafe extern "C" {
    fn g2d_pin(tensor: *mut C_tensor, pinned: *mut *mut C_tensor) -> *mut c_char;
}

/// Copies a host tensor to pinned memory, from which copies to a GPU are asynchronous. A tensor in
/// pinned memory is not copied.
pub(crate) fn pin(tensor: &Tensor) -> Result<Tensor> {
    let mut pinned = ptr::null_mut();
    // SAFETY: `as_ptr` is a live `at::Tensor*` for as long as `tensor` is borrowed. The shim only
    // reads it, and writes `pinned` if it returns no message.
    check("pin host memory", unsafe { g2d_pin(tensor.as_ptr().cast_mut(), &raw mut pinned) })?;
    // SAFETY: without a message `pinned` is a new `at::Tensor*` that this function owns.
    Ok(unsafe { Tensor::from_ptr(pinned) })
}
