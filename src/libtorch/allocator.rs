//! The C library's allocator, from which libtorch takes the memory of tensors on the CPU.

/// Sets the parameters of glibc's allocator; `false` if it refuses one, or with another C library.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn keep_freed_memory() -> bool {
    use std::ffi::c_int;

    unsafe extern "C" {
        fn mallopt(parameter: c_int, value: c_int) -> c_int;
    }
    // From glibc's malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX.
    let parameters = [(-1, c_int::MAX), (-3, 1 << 30), (-8, 1)];
    // SAFETY: the function has this signature in glibc, locks the allocator, and checks its arguments.
    parameters.into_iter().all(|(parameter, value)| unsafe { mallopt(parameter, value) } == 1)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_memory() -> bool {
    false
}
