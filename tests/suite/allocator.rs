//! The memory of freed tensors.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use g2d::allocator;
use tch::{Device, Kind, Tensor};

use crate::support::in_own_process_with;

/// The page faults of this process without a read from disk.
fn page_faults() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    after_name.split_whitespace().nth(7).unwrap().parse().unwrap()
}

/// The page faults of allocating, writing and freeing 64 MiB ten times, after the free parts of the memory
/// have become large enough.
fn faults_of_tensors() -> u64 {
    let write = || drop(Tensor::ones([16 << 20], (Kind::Float, Device::Cpu)));
    (0..30).for_each(|_| write());
    let before = page_faults();
    (0..10).for_each(|_| write());
    page_faults() - before
}

#[test]
fn kept_memory_is_not_mapped_again() {
    // The thread of a test has started before the call: it has the memory of the main thread.
    let one_arena = [("MALLOC_ARENA_MAX", "1")];
    if !in_own_process_with("allocator::kept_memory_is_not_mapped_again", &one_arena) {
        return;
    }
    let returned = faults_of_tensors();
    assert!(allocator::keep_freed_memory());
    let kept = faults_of_tensors();
    assert!(kept * 4 < returned, "{kept} page faults with kept memory, {returned} without");
}
