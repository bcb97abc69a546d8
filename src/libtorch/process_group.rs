//! Process groups and their collective operations.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    ptr,
    time::Duration,
};

use tch::Tensor;
use torch_sys::C_tensor;

use super::{Store, check, milliseconds};
use crate::error::Result;

unsafe extern "C" {
    fn g2d_group_new(
        store: *mut c_void,
        prefix: *const c_char,
        rank: c_int,
        size: c_int,
        timeout: i64,
        address: *const c_char,
        interface: *const c_char,
        nccl: bool,
        group: *mut *mut c_void,
    ) -> *mut c_char;
    fn g2d_group_free(group: *mut c_void);
    fn g2d_group_all_reduce(
        group: *mut c_void,
        tensor: *mut C_tensor,
        number: c_int,
    ) -> *mut c_char;
    fn g2d_group_broadcast(
        group: *mut c_void,
        tensors: *const *const C_tensor,
        count: usize,
        root: c_int,
    ) -> *mut c_char;
    fn g2d_group_sum_in_graph(
        group: *mut c_void,
        tensor: *mut C_tensor,
        sum: *mut *mut c_void,
    ) -> *mut c_char;
    fn g2d_group_barrier(group: *mut c_void, timeout: i64) -> *mut c_char;
}

/// Where Gloo listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listen {
    /// A host name or an address of this host.
    Address(String),
    /// A network interface.
    Interface(String),
}

/// What a group is made from.
#[derive(Debug)]
pub(crate) struct GroupArgs<'a> {
    pub store: &'a Store,
    /// The prefix of the keys in the store.
    pub prefix: &'a str,
    pub rank: usize,
    pub size: usize,
    pub timeout: Duration,
    pub listen: &'a Listen,
    /// Whether tensors of CUDA devices are reduced, by NCCL.
    pub nccl: bool,
}

/// libtorch's process group of one rank.
#[derive(Debug)]
pub(crate) struct RawGroup(*mut c_void);

impl RawGroup {
    /// Connects to all other ranks.
    pub(crate) fn new(args: &GroupArgs<'_>) -> Result<Self> {
        let text = |text: &str| CString::new(text.replace('\0', "")).unwrap_or_default();
        let prefix = text(args.prefix);
        let (address, interface) = match args.listen {
            Listen::Address(address) => (text(address), None),
            Listen::Interface(interface) => (CString::default(), Some(text(interface))),
        };
        let mut group = ptr::null_mut();
        let timeout = milliseconds(args.timeout);
        let doing = format!("connect rank {} to a group of {} ranks", args.rank, args.size);
        // SAFETY: the store is alive, the strings are NUL-terminated, `interface` may be null; `group` is a
        // local, which becomes a new handle on success.
        let message = unsafe {
            g2d_group_new(
                args.store.as_ptr(),
                prefix.as_ptr(),
                args.rank as c_int,
                args.size as c_int,
                timeout,
                address.as_ptr(),
                interface.as_ref().map_or(ptr::null(), |interface| interface.as_ptr()),
                args.nccl,
                &raw mut group,
            )
        };
        check(&doing, message)?;
        Ok(Self(group))
    }

    /// Reduces `tensor` over all ranks, in place; `operation` has the numbers of the shim.
    pub(crate) fn all_reduce(&self, tensor: &Tensor, operation: i32) -> Result<()> {
        // SAFETY: group and tensor are alive. The contents of the tensor change, as by tch's methods for
        // `&self`.
        let message =
            unsafe { g2d_group_all_reduce(self.0, tensor.as_ptr().cast_mut(), operation) };
        check("reduce a tensor over all ranks", message)
    }

    /// The sum of `tensor` over all ranks, as a part of the graph: its backward pass is collective, too.
    pub(crate) fn sum_in_graph(&self, tensor: &Tensor) -> Result<Tensor> {
        let mut sum = ptr::null_mut();
        // SAFETY: group and tensor are alive, and the shim reads the tensor; `sum` is a local. Without a
        // message it is a new `at::Tensor*`, which this function owns.
        unsafe {
            let tensor = tensor.as_ptr().cast_mut();
            let message = g2d_group_sum_in_graph(self.0, tensor, &raw mut sum);
            check("add up a tensor over all ranks in a forward pass", message)?;
            Ok(Tensor::from_ptr(sum.cast()))
        }
    }

    /// Copies the contents of `tensors` on rank `root` to those of all ranks.
    pub(crate) fn broadcast(&self, tensors: &[Tensor], root: usize) -> Result<()> {
        let pointers: Vec<_> = tensors.iter().map(Tensor::as_ptr).collect();
        // SAFETY: as above, for each tensor of the array.
        let message = unsafe {
            g2d_group_broadcast(self.0, pointers.as_ptr(), pointers.len(), root as c_int)
        };
        check(&format!("copy tensors of rank {root} to all ranks"), message)
    }

    /// Waits until all ranks call it.
    pub(crate) fn barrier(&self, timeout: Duration) -> Result<()> {
        let timeout = milliseconds(timeout);
        // SAFETY: the group is alive.
        check("wait for all ranks", unsafe { g2d_group_barrier(self.0, timeout) })
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.0
    }
}

impl Drop for RawGroup {
    fn drop(&mut self) {
        // SAFETY: the pointer is a handle that only this value owns.
        unsafe { g2d_group_free(self.0) }
    }
}
