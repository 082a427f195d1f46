//! The system's memory allocator with a count of the bytes that are out.
//! Tells nothing of fragmentation or of what the system's allocator adds.
#![allow(
    unsafe_code,
    reason = "a global allocator is an unsafe trait; it only passes on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

// SAFETY: every call is passed on to the system's allocator with what the caller gave, so its
// promises are kept; counting touches no memory but the counter.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises hold for the same layout.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `block` came from `alloc` above, that is from the system, with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

/// Bytes that are out now.
pub fn allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}
