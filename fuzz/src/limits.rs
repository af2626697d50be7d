//! How much an input may cost: time, and memory in proportion to its size.
//!
//! Allocations are counted, and one that goes beyond ends the process at once, so that whoever started it can tell which input it was.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// No input may take longer.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// What any input may take, in bytes, and how much more for each byte of its own.
const SMALL: usize = 64 << 20;
const EACH: usize = 256;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

/// The system's allocator, counted.
pub struct Counted;

// SAFETY: Every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        MOST.fetch_max(now, Relaxed);
        if now > LIMIT.load(Relaxed) {
            LIMIT.store(usize::MAX, Relaxed);
            panic!("{now} bytes are allocated, the last {} at once", layout.size());
        }
        // SAFETY: The caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: The caller keeps the contract.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs a target on an input within the limit of memory; the most that was allocated.
pub fn within(run: fn(&[u8]), input: &[u8]) -> usize {
    let before = NOW.load(Relaxed);
    MOST.store(before, Relaxed);
    LIMIT.store(before + SMALL + EACH * input.len(), Relaxed);
    run(input);
    LIMIT.store(usize::MAX, Relaxed);
    MOST.load(Relaxed) - before
}
