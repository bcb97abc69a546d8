//! The tuned allocator: freed memory is kept, and memory comes in huge pages.

#![cfg(all(target_os = "linux", target_env = "gnu"))]

use std::process::Command;

use g2d::allocator;
use tch::{Device, Kind, Tensor};

use crate::support::{in_own_process_with, stdout};

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
    allocator::tune();
    let kept = faults_of_tensors();
    assert!(kept * 4 < returned, "{kept} page faults with kept memory, {returned} without");
}

/// Returns whether the memory at an address has the advice to be in huge pages.
fn is_advised(address: u64) -> bool {
    let mappings = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let mut holds_address = false;
    for line in mappings.lines() {
        let range = line.split(' ').next().unwrap().split_once('-');
        let bound = |text| u64::from_str_radix(text, 16).ok();
        if let Some((Some(start), Some(end))) = range.map(|(start, end)| (bound(start), bound(end)))
        {
            holds_address = (start..end).contains(&address);
        } else if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| holds_address) {
            return flags.split(' ').any(|flag| flag == "hg");
        }
    }
    panic!("no mapping holds {address:x}");
}

#[test]
fn memory_of_tensors_is_advised_to_be_in_huge_pages() {
    let commits = std::fs::read_to_string("/proc/sys/vm/overcommit_memory");
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists()
        || commits.is_ok_and(|mode| mode.trim() == "2")
    {
        eprintln!("skipped: no transparent huge pages, or virtual memory is committed strictly");
        return;
    }
    let test = "allocator::memory_of_tensors_is_advised_to_be_in_huge_pages";
    if !in_own_process_with(test, &[("MALLOC_ARENA_MAX", "1")]) {
        return;
    }
    assert!(allocator::tune());
    for elements in [1 << 18, 1 << 26] {
        let tensor = Tensor::zeros([elements], (Kind::Float, Device::Cpu));
        assert!(is_advised(tensor.data_ptr() as u64), "{elements} elements");
    }
}

#[test]
fn limited_virtual_memory_is_not_reserved() {
    const LIMITED: &str = "G2D_TEST_LIMITED_MEMORY";
    if std::env::var_os(LIMITED).is_some() {
        assert!(!allocator::tune());
        return;
    }
    let this = std::env::current_exe().unwrap();
    let mut child = Command::new("sh");
    child.args(["-c", "ulimit -S -v 1000000000 && exec \"$0\" \"$@\""]).arg(this);
    child.args(["allocator::limited_virtual_memory_is_not_reserved", "--exact"]).env(LIMITED, "1");
    assert!(stdout(&mut child).contains("1 passed"));
}
