//! The C library's allocator, from which libtorch takes the memory of tensors on the CPU.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::{fs, iter};

    /// Sets the parameters of the allocator and reserves its heap; `false` if either fails.
    pub(crate) fn tune() -> bool {
        // Never trim the heap, never take memory from elsewhere, and one heap for all threads.
        let parameters =
            [(libc::M_TRIM_THRESHOLD, -1), (libc::M_MMAP_MAX, 0), (libc::M_ARENA_MAX, 1)];
        // SAFETY: the function locks the allocator and checks its arguments.
        let set = |(parameter, value)| unsafe { libc::mallopt(parameter, value) } == 1;
        parameters.into_iter().all(set) && is_virtual_memory_free() && reserve_huge_pages()
    }

    /// Returns whether virtual memory is neither limited nor committed strictly.
    fn is_virtual_memory_free() -> bool {
        let accounting = fs::read_to_string("/proc/sys/vm/overcommit_memory");
        let is_unlimited = |resource| {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: the function writes to the limit alone.
            let result = unsafe { libc::getrlimit(resource, &raw mut limit) };
            result == 0 && limit.rlim_cur == libc::RLIM_INFINITY
        };
        accounting.is_ok_and(|mode| mode.trim() != "2")
            && is_unlimited(libc::RLIMIT_AS)
            && is_unlimited(libc::RLIMIT_DATA)
    }

    /// Grows the heap to the size of the physical memory, without using it, and asks the kernel for huge
    /// pages there; `false` if it has none.
    fn reserve_huge_pages() -> bool {
        const BLOCK: usize = 1 << 30;
        // SAFETY: the function reads a number.
        let number = |name| usize::try_from(unsafe { libc::sysconf(name) }).unwrap_or(0);
        let (pages, page) = (number(libc::_SC_PHYS_PAGES), number(libc::_SC_PAGESIZE).max(1));
        // SAFETY: any size may be requested.
        let blocks = iter::repeat_with(|| unsafe { libc::malloc(BLOCK) });
        let blocks = blocks.take(pages.saturating_mul(page) / BLOCK).take_while(|b| !b.is_null());
        let blocks: Vec<_> = blocks.collect();
        let advised = blocks.iter().all(|block| {
            let start = block.map_addr(|address| address / page * page);
            // SAFETY: the advice changes no content, and the range is within the heap.
            unsafe { libc::madvise(start, BLOCK, libc::MADV_HUGEPAGE) == 0 }
        });
        // SAFETY: each block is of `malloc` and is freed once.
        blocks.into_iter().rev().for_each(|block| unsafe { libc::free(block) });
        advised
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) use glibc::tune;

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn tune() -> bool {
    false
}
