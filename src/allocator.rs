//! The memory of tensors on the CPU.

use crate::libtorch;

/// Keeps the memory of freed tensors in the process, for the next ones, and returns whether this is
/// possible.
///
/// glibc returns the memory of large tensors to the operating system as soon as they are freed, and a
/// training frees every activation in every step: the system then maps and clears the same pages again
/// and again. With this setting the resident memory of the process stays at its peak.
///
/// The setting is the process's, so a program sets it and a library does not. Call it at the start of
/// `main`: it has no effect on memory in use, and less on threads that have started. Returns `false`, and changes
/// nothing or a part, where it is not possible: with a C library other than glibc.
pub fn keep_freed_memory() -> bool {
    libtorch::keep_freed_memory()
}
