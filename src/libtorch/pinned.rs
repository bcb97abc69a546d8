//! Page-locked memory, without the argument that libtorch deprecates and tch always passes.

use std::{ffi::c_char, ptr};

use tch::Tensor;
use torch_sys::C_tensor;

use super::check;
use crate::error::Result;

unsafe extern "C" {
    fn g2d_pin(tensor: *mut C_tensor, pinned: *mut *mut C_tensor) -> *mut c_char;
}

/// A host tensor in page-locked memory, from which a GPU copies unwaited: a copy, unless it is there.
pub(crate) fn pin(tensor: &Tensor) -> Result<Tensor> {
    let mut pinned = ptr::null_mut();
    // SAFETY: `as_ptr` is a live `at::Tensor*` for as long as `tensor` is borrowed; the shim only
    // reads it, and writes `pinned` where it returns no message.
    check("pin host memory", unsafe { g2d_pin(tensor.as_ptr().cast_mut(), &raw mut pinned) })?;
    // SAFETY: without a message `pinned` is a new `at::Tensor*` that nobody else frees.
    Ok(unsafe { Tensor::from_ptr(pinned) })
}
