//! Which libtorch this is.

use std::ffi::{CStr, c_char};

unsafe extern "C" {
    fn g2d_version() -> *const c_char;
}

/// The version of the libtorch that the shim was built with, such as `2.13.0`.
pub(crate) fn version() -> &'static str {
    // SAFETY: the shim returns a string literal, which lives as long as the program.
    unsafe { CStr::from_ptr(g2d_version()) }.to_str().unwrap_or("unknown")
}
