//! The state of libtorch's random number generators: one for the CPU, and one per CUDA device.

use std::ffi::{c_char, c_int, c_void};

use tch::{Device, Tensor};
use torch_sys::C_tensor;

use super::check;
use crate::error::Result;

unsafe extern "C" {
    fn g2d_generator_state(device: c_int, state: *mut *mut c_void) -> *mut c_char;
    fn g2d_restore_generator(device: c_int, state: *mut C_tensor) -> *mut c_char;
}

/// The state of the generator of `device`, as bytes. Synchronises with a CUDA device.
pub(crate) fn generator_state(device: Device) -> Result<Tensor> {
    let mut state = std::ptr::null_mut();
    // SAFETY: if the shim returns no message, it has written `state`, a new `at::Tensor*` that this
    // function owns.
    unsafe {
        check("read the random generator", g2d_generator_state(number(device), &raw mut state))?;
        Ok(Tensor::from_ptr(state.cast()))
    }
}

/// Sets the generator of `device` to a [`generator_state`].
pub(crate) fn restore_generator(device: Device, state: &Tensor) -> Result<()> {
    // SAFETY: `as_ptr` is a live `at::Tensor*` while `state` is borrowed; the shim reads it.
    check("restore the random generator", unsafe {
        g2d_restore_generator(number(device), state.as_ptr().cast_mut())
    })
}

fn number(device: Device) -> c_int {
    match device {
        Device::Cuda(index) => index as c_int,
        _ => -1,
    }
}
