//! The modes of a thread that a closure of tch leaves changed when it panics.

use std::{ffi::c_char, marker::PhantomData};

use super::check;
use crate::error::Result;

/// Whether gradients are recorded, and whether autocast is on for CPU, CUDA and MPS.
#[repr(C)]
struct Raw {
    grad: bool,
    autocast: [bool; 3],
}

unsafe extern "C" {
    fn g2d_modes_read(modes: *mut Raw) -> *mut c_char;
    fn g2d_modes_restore(modes: *const Raw) -> *mut c_char;
}

/// The gradient mode of this thread, and where its autocast is on. tch's `no_grad`, for example, leaves
/// gradients off when its closure panics.
pub(crate) struct Modes {
    raw: Raw,
    /// Makes the value `!Send`: the modes belong to the thread.
    _not_send: PhantomData<*const ()>,
}

impl Modes {
    /// The modes now.
    pub(crate) fn current() -> Result<Self> {
        let mut raw = Raw { grad: true, autocast: [false; 3] };
        // SAFETY: `raw` outlives the call, which writes it in the layout that both sides declare.
        check("read the gradient mode", unsafe { g2d_modes_read(&mut raw) })?;
        Ok(Self { raw, _not_send: PhantomData })
    }

    /// Sets the modes to these.
    pub(crate) fn restore(&self) -> Result<()> {
        // SAFETY: `raw` was written by `current`.
        check("restore the gradient mode", unsafe { g2d_modes_restore(&self.raw) })
    }
}
