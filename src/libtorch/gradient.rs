//! Clearing, setting, scaling and checking of gradients.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use tch::Tensor;
use torch_sys::C_tensor;

use super::check;
use crate::error::Result;

unsafe extern "C" {
    fn g2d_clear_grads(tensors: *const *const C_tensor, count: usize) -> *mut c_char;
    fn g2d_set_grads(
        tensors: *const *const C_tensor,
        gradients: *const *const C_tensor,
        count: usize,
    ) -> *mut c_char;
    fn g2d_scale_grads(
        tensors: *const *const C_tensor,
        count: usize,
        factor: f64,
        found: *mut *mut c_void,
    ) -> *mut c_char;
}

/// Makes the gradients of `tensors` undefined, so that no optimizer updates them.
///
/// Zero gradients would not suffice: momentum and weight decay change a parameter that has one.
pub(crate) fn clear_grads<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Result<()> {
    let tensors: Vec<_> = tensors.map(Tensor::as_ptr).collect();
    // SAFETY: each pointer is a live `at::Tensor*` for as long as its tensor is borrowed. The shim
    // only resets the gradient of the shared implementation, which tch's own `&self` methods
    // (`zero_grad`, `backward`) change as well.
    check("clear gradients", unsafe { g2d_clear_grads(tensors.as_ptr(), tensors.len()) })
}

/// Replaces the gradient of each tensor; an undefined one makes it undefined.
pub(crate) fn set_grads<'a>(pairs: impl Iterator<Item = (&'a Tensor, &'a Tensor)>) -> Result<()> {
    let (tensors, gradients): (Vec<_>, Vec<_>) =
        pairs.map(|(tensor, gradient)| (tensor.as_ptr(), gradient.as_ptr())).unzip();
    // SAFETY: as above, for both arrays. The shim shares the gradients' memory and changes no
    // element of it.
    let message = unsafe { g2d_set_grads(tensors.as_ptr(), gradients.as_ptr(), tensors.len()) };
    check("set gradients", message)
}

/// Multiplies the defined gradients of `tensors` by `factor`, in place. Returns a scalar on their
/// device, 1 if a gradient is not finite, else 0; `None` without gradients.
pub(crate) fn scale_grads<'a>(
    tensors: impl Iterator<Item = &'a Tensor>,
    factor: f64,
) -> Result<Option<Tensor>> {
    let tensors: Vec<_> = tensors.map(Tensor::as_ptr).collect();
    let mut found = ptr::null_mut();
    // SAFETY: as above; gradients are changed in place, as by tch's optimizers. `found` is null or
    // a new `at::Tensor*` that this function owns.
    unsafe {
        let message = g2d_scale_grads(tensors.as_ptr(), tensors.len(), factor, &mut found);
        check("scale gradients", message)?;
        Ok((!found.is_null()).then(|| Tensor::from_ptr(found.cast())))
    }
}
