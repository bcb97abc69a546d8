//! Gradients reduced in buckets while backward runs, by the engine of DistributedDataParallel.

use std::{
    ffi::{c_char, c_void},
    ptr,
    rc::Rc,
};

use tch::Tensor;
use torch_sys::C_tensor;

use super::{RawGroup, check};
use crate::error::Result;

unsafe extern "C" {
    fn g2d_reducer_new(
        group: *mut c_void,
        parameters: *const *const C_tensor,
        count: usize,
        reducer: *mut *mut c_void,
    ) -> *mut c_char;
    fn g2d_reducer_free(reducer: *mut c_void);
    fn g2d_reducer_reset(reducer: *mut c_void) -> *mut c_char;
    fn g2d_reducer_prepare(reducer: *mut c_void, loss: *mut C_tensor) -> *mut c_char;
    fn g2d_reducer_check(reducer: *mut c_void) -> *mut c_char;
}

/// Averages the gradients of parameters over all ranks in a backward pass.
#[derive(Debug)]
pub(crate) struct RawReducer {
    reducer: *mut c_void,
    /// The reducer uses the group until it is freed.
    _group: Rc<RawGroup>,
}

impl RawReducer {
    /// A reducer of the gradients of `parameters`, leaves that require gradients, in the same order on all
    /// ranks. Hooks on their gradients stay until it is dropped.
    pub(crate) fn new(group: Rc<RawGroup>, parameters: &[&Tensor]) -> Result<Self> {
        let parameters: Vec<_> = parameters.iter().map(|tensor| tensor.as_ptr()).collect();
        let mut reducer = ptr::null_mut();
        // SAFETY: the group is alive, and the array has `count` live tensors, which the reducer shares;
        // `reducer` is a local, which becomes a new object on success.
        let message = unsafe {
            g2d_reducer_new(group.as_ptr(), parameters.as_ptr(), parameters.len(), &raw mut reducer)
        };
        check("prepare the reduction of gradients", message)?;
        Ok(Self { reducer, _group: group })
    }

    /// Forgets which parameters earlier backward passes have reached.
    pub(crate) fn reset(&self) -> Result<()> {
        // SAFETY: the reducer is alive.
        check("reset the reduction of gradients", unsafe { g2d_reducer_reset(self.reducer) })
    }

    /// Makes the next backward pass from `loss` average the gradients.
    pub(crate) fn prepare(&self, loss: &Tensor) -> Result<()> {
        // SAFETY: reducer and tensor are alive; the graph of the tensor is read.
        let message = unsafe { g2d_reducer_prepare(self.reducer, loss.as_ptr().cast_mut()) };
        check("prepare the reduction of gradients", message)
    }

    /// An error if the last backward pass has left gradients that are not reduced.
    pub(crate) fn check_finished(&self) -> Result<()> {
        // SAFETY: the reducer is alive.
        check("finish the reduction of gradients", unsafe { g2d_reducer_check(self.reducer) })
    }
}

impl Drop for RawReducer {
    fn drop(&mut self) {
        // SAFETY: the pointer is an object that only this value owns; the group is still alive.
        unsafe { g2d_reducer_free(self.reducer) }
    }
}
