//! The memory of tensors on the CPU.

use crate::libtorch;

/// Keeps the memory of freed tensors in the process for the next tensors, and returns whether the C library
/// can do so.
///
/// glibc returns the memory of a large tensor to the operating system as soon as the tensor is freed. A
/// training frees every activation in every step, so the system maps and clears the same pages in each of
/// them. With this setting it does not, and the resident memory of the process stays at its peak.
///
/// The setting belongs to the process: a program sets it, a library does not. Call it at the start of
/// `main`; it has no effect on memory in use, and less on threads that have started. With a C library other
/// than glibc it changes nothing and returns `false`.
pub fn keep_freed_memory() -> bool {
    libtorch::keep_freed_memory()
}
