//! Autocast for a given device and dtype; tch's autocast supports only fp16 on CUDA.

use std::{
    ffi::{c_char, c_int},
    marker::PhantomData,
};

use tch::{Device, Kind};

use super::check;
use crate::error::{self, Result};

/// The autocast mode of a thread for a device. `kind` is libtorch's number of the dtype, and `cache`
/// tells whether casts of weights are kept.
#[repr(C)]
struct Mode {
    device: c_int,
    kind: c_int,
    enabled: bool,
    cache: bool,
}

unsafe extern "C" {
    fn g2d_autocast_enter(device: c_int, kind: c_int, before: *mut Mode) -> *mut c_char;
    fn g2d_autocast_leave(before: *const Mode) -> *mut c_char;
}

/// Guard of autocast on this thread. Dropping it, also in unwinding, restores the mode before.
///
/// Casts of weights are not kept. libtorch's cache of them belongs to the process: another thread that
/// clears it would change how the gradient of a weight with two uses is rounded, and an optimizer that
/// steps between two regions changes the weights and not their casts.
#[must_use = "autocast ends when this is dropped"]
pub(crate) struct Autocast {
    before: Mode,
    /// Makes the guard `!Send`: the mode belongs to the thread.
    _not_send: PhantomData<*const ()>,
}

impl Autocast {
    /// Turns autocast on: layers on `device` compute in `kind`.
    pub(crate) fn enter(device: Device, kind: Kind) -> Result<Self> {
        let device = match device {
            Device::Cpu => 0,
            Device::Cuda(_) => 1,
            Device::Mps => 2,
            other => {
                let found = format!("{other:?}, for which there is no autocast");
                let hint = "train on CPU, CUDA or MPS, or leave out the precision";
                let expected = "`Precision::Full` on this device";
                return Err(error::config("precision", expected, found, hint));
            }
        };
        let kind = match kind {
            Kind::Half => 5,
            Kind::BFloat16 => 15,
            other => {
                let hint = "choose one of these";
                return Err(error::wrong_kind("precision", "Half or BFloat16", other, hint));
            }
        };
        let mut before = Mode { device: 0, kind: 0, enabled: false, cache: false };
        // SAFETY: `before` outlives the call, which writes it in the layout that both sides
        // declare.
        check("start autocast", unsafe { g2d_autocast_enter(device, kind, &mut before) })?;
        Ok(Self { before, _not_send: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: `before` was written by `enter`. `check` frees the error, which is ignored.
        let _ = check("end autocast", unsafe { g2d_autocast_leave(&self.before) });
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::Autocast;

    #[test]
    fn a_weight_is_cast_at_every_use_and_the_mode_is_restored() {
        let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        let mut weight = Tensor::ones([2, 2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let region = Autocast::enter(Device::Cpu, Kind::BFloat16).unwrap();
        assert_eq!(x.matmul(&weight).kind(), Kind::BFloat16);
        let _ = tch::no_grad(|| weight.fill_(3.0));
        assert_eq!(x.matmul(&weight).double_value(&[0, 0]), 6.0);
        drop(region);
        assert_eq!(x.matmul(&weight).kind(), Kind::Float);
    }
}
