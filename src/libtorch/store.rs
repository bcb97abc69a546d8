//! Key-value stores, by which the ranks of a process group find each other.

use std::{
    ffi::{CString, c_char, c_void},
    ptr,
    time::Duration,
};

use super::{check, milliseconds};
use crate::error::Result;

unsafe extern "C" {
    fn g2d_store_tcp(
        host: *const c_char,
        port: u16,
        is_server: bool,
        ranks: usize,
        timeout: i64,
        bound: *mut u16,
        store: *mut *mut c_void,
    ) -> *mut c_char;
    fn g2d_store_hash(store: *mut *mut c_void) -> *mut c_char;
    fn g2d_store_share(store: *mut c_void, shared: *mut *mut c_void) -> *mut c_char;
    fn g2d_store_free(store: *mut c_void);
}

/// A handle on a key-value store.
#[derive(Debug)]
pub(crate) struct Store(*mut c_void);

// SAFETY: a store belongs to no thread; libtorch's stores lock their own state. A handle is not `Sync`.
unsafe impl Send for Store {}

impl Store {
    /// A client of the store at `host` and `port`, or the store itself where `is_server`, which then waits
    /// until `ranks` clients have come. Returns the port, too.
    pub(crate) fn tcp(
        host: &str,
        port: u16,
        is_server: bool,
        ranks: usize,
        timeout: Duration,
    ) -> Result<(Self, u16)> {
        let (mut store, mut bound) = (ptr::null_mut(), 0);
        let c_host = CString::new(host.replace('\0', "")).unwrap_or_default();
        let doing = match is_server {
            true => format!("open the store of the ranks at {host}:{port}"),
            false => format!("reach the store of rank 0 at {host}:{port}"),
        };
        let timeout = milliseconds(timeout);
        // SAFETY: `c_host` is NUL-terminated, and the other pointers are to locals. `store` becomes a new
        // handle on success.
        let message = unsafe {
            g2d_store_tcp(
                c_host.as_ptr(),
                port,
                is_server,
                ranks,
                timeout,
                &raw mut bound,
                &raw mut store,
            )
        };
        check(&doing, message)?;
        Ok((Self(store), bound))
    }

    /// A store in the memory of this process.
    pub(crate) fn in_memory() -> Result<Self> {
        let mut store = ptr::null_mut();
        // SAFETY: `store` is a local, which becomes a new handle on success.
        check("make a store of ranks", unsafe { g2d_store_hash(&raw mut store) })?;
        Ok(Self(store))
    }

    /// Another handle on the same store.
    pub(crate) fn share(&self) -> Result<Self> {
        let mut store = ptr::null_mut();
        // SAFETY: the handle is alive; `store` is a local, which becomes a new handle on success.
        check("share a store of ranks", unsafe { g2d_store_share(self.0, &raw mut store) })?;
        Ok(Self(store))
    }

    pub(super) fn as_ptr(&self) -> *mut c_void {
        self.0
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: the pointer is a handle that only this value owns.
        unsafe { g2d_store_free(self.0) }
    }
}
