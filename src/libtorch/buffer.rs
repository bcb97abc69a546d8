//! Copies of tensors and the check that they are finite, each in one call for all tensors.

use std::{
    ffi::{c_char, c_void},
    ptr,
};

use tch::Tensor;
use torch_sys::C_tensor;

use super::check;
use crate::error::Result;

type Tensors = *const *const C_tensor;

unsafe extern "C" {
    fn g2d_copy(to: Tensors, from: Tensors, count: usize) -> *mut c_char;
    fn g2d_any_not_finite(tensors: Tensors, count: usize, found: *mut *mut c_void) -> *mut c_char;
}

/// Copies the contents of `from` to `to`, which has as many tensors. Memory of `to` that does not fit,
/// such as that of an undefined tensor, is allocated anew. Does not synchronise with the device.
pub(crate) fn copy(to: &mut [Tensor], from: &[Tensor]) -> Result<()> {
    debug_assert_eq!(to.len(), from.len());
    let [to, from] = [&*to, from].map(|tensors| tensors.iter().map(Tensor::as_ptr));
    let (to, from): (Vec<_>, Vec<_>) = (to.collect(), from.collect());
    // SAFETY: every pointer is a live `at::Tensor*`, and both arrays have `count` of them. The shim
    // changes the tensors of `to`, which are borrowed exclusively, and reads those of `from`.
    check("copy tensors", unsafe { g2d_copy(to.as_ptr(), from.as_ptr(), to.len()) })
}

/// Returns a scalar on the device of `tensors`: above 0 if a floating-point one of them holds NaN or an
/// infinity, else 0; `None` without such tensors. Does not synchronise with the device.
pub(crate) fn any_not_finite<'a>(
    tensors: impl Iterator<Item = &'a Tensor>,
) -> Result<Option<Tensor>> {
    let tensors: Vec<_> = tensors.map(Tensor::as_ptr).collect();
    let mut found = ptr::null_mut();
    // SAFETY: every pointer is a live `at::Tensor*` while its tensor is borrowed. The shim writes each
    // element's own value back. `found` is null or a new `at::Tensor*` that this function owns.
    unsafe {
        let message = g2d_any_not_finite(tensors.as_ptr(), tensors.len(), &raw mut found);
        check("look for a value that is not finite", message)?;
        Ok((!found.is_null()).then(|| Tensor::from_ptr(found.cast())))
    }
}
