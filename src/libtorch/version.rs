//! The version of libtorch.

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    fn g2d_version() -> *const c_char;
}

/// The version of libtorch that the shim was built with, such as `2.13.0`.
pub(crate) fn version() -> &'static str {
    // SAFETY: the shim returns a string literal, which is valid as long as the program runs.
    unsafe { CStr::from_ptr(g2d_version()) }.to_str().unwrap_or("unknown")
}
