//! The memory of tensors on the CPU.

use crate::libtorch;

/// Tunes the C library's allocator for training, and returns whether all of it took effect:
///
/// - **Freed memory is kept for the next tensors.** glibc returns the memory of a large tensor to the
///   operating system as soon as the tensor is freed. A training frees every activation in every step, so
///   the system maps and clears the same pages in each of them. With this setting it does not, and the
///   resident memory of the process stays at its peak.
/// - **Memory comes in huge pages**, where the kernel gives them to programs that ask
///   (`/sys/kernel/mm/transparent_hugepage/enabled` is `madvise`; with `always` every program has
///   them). With small pages the TLB of the processor does not cover the memory of a step. The heap
///   reserves as much virtual memory as the machine has physical memory, and uses none of it yet. Where
///   virtual memory is limited (`ulimit -v`, `ulimit -d`) or committed strictly (`vm.overcommit_memory`
///   is 2) it reserves none, and the function returns `false`.
///
/// The settings belong to the process: a program makes them, a library does not. Call it at the start of
/// `main`; it has no effect on memory in use, and less on threads that have started. With a C library other
/// than glibc on Linux it changes nothing and returns `false`. See mallopt(3) and madvise(2).
pub fn tune() -> bool {
    libtorch::tune_allocator()
}
