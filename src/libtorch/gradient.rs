//! Gradients: what tch cannot do to them.

use std::ffi::c_char;

use tch::Tensor;
use torch_sys::C_tensor;

use super::check;
use crate::Result;

unsafe extern "C" {
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
