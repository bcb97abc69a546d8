//! Autocast for a device and a kind of the caller's choice; tch's acts on CUDA and fp16 alone.

use std::{
    ffi::{c_char, c_int},
    marker::PhantomData,
};

use tch::{Device, Kind};

use super::check;
use crate::error::{self, Result};

/// How autocast stands on a thread.
#[repr(C)]
struct Standing {
    device: c_int,
    kind: c_int,
    enabled: bool,
}

unsafe extern "C" {
    fn g2d_autocast_enter(device: c_int, kind: c_int, before: *mut Standing) -> *mut c_char;
    fn g2d_autocast_leave(before: *const Standing) -> *mut c_char;
}

/// Autocast on this thread until it is dropped, in unwinding too; then all is as it was.
///
/// The casts of weights that libtorch remembers are forgotten at both ends: an optimizer that steps
/// between two regions changes the weights, not their casts.
#[must_use = "autocast ends when this is dropped"]
pub(crate) struct Autocast {
    before: Standing,
    /// The state is the thread's.
    _stays: PhantomData<*const ()>,
}

impl Autocast {
    /// Layers on `device` compute in `kind` from here on.
    pub(crate) fn enter(device: Device, kind: Kind) -> Result<Self> {
        let place = match device {
            Device::Cpu => 0,
            Device::Cuda(_) => 1,
            Device::Mps => 2,
            other => {
                return Err(error::config(
                    "precision",
                    "`Precision::Full` on this device",
                    format!("{other:?}, for which there is no autocast"),
                    "train on CPU, CUDA or MPS, or leave the precision out",
                ));
            }
        };
        // libtorch's numbers of the two scalar types.
        let number = match kind {
            Kind::Half => 5,
            Kind::BFloat16 => 15,
            other => {
                return Err(error::config(
                    "precision",
                    "Half or BFloat16",
                    format!("{other:?}"),
                    "take another",
                ));
            }
        };
        let mut before = Standing { device: 0, kind: 0, enabled: false };
        // SAFETY: `before` outlives the call, which writes it in the layout that both sides declare.
        check("start autocast", unsafe { g2d_autocast_enter(place, number, &mut before) })?;
        Ok(Self { before, _stays: PhantomData })
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: `before` was written by `enter`. An error can only be freed here: `check` does.
        let _ = check("end autocast", unsafe { g2d_autocast_leave(&self.before) });
    }
}
