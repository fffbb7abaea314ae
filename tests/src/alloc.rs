//! A global allocator that counts, for tests which assert how much memory hostile input can take, or how
//! often work allocates.
//!
//! A test binary declares `#[global_allocator] static ALLOC: Counting = Counting;` and wraps what it measures in `peak`.
//! Counts are of the calling thread, so that tests may run side by side.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
pub struct Counting;

thread_local! {
    // no destructor and no lazy start, so that they may be used from within the allocator
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    NOW.set(NOW.get() + bytes);
    PEAK.set(PEAK.get().max(NOW.get()));
}

fn grown(bytes: usize) {
    CALLS.set(CALLS.get() + 1);
    count(bytes as isize);
}

fn shrunk(bytes: usize) {
    count(-(bytes as isize));
}

// SAFETY: every call is passed on unchanged to the system's allocator; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: the caller keeps `alloc`'s contract, which is `System`'s.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grown(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        shrunk(layout.size());
        // SAFETY: as above; `at` came from `System` through this type.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // both may exist while the contents move
        grown(size);
        // SAFETY: as above.
        let moved = unsafe { System.realloc(at, layout, size) };
        shrunk(if moved.is_null() { size } else { layout.size() });
        moved
    }
}

/// Runs `f` and returns the most bytes that this thread had allocated at once beyond what it had before, with its result.
pub fn peak<T>(f: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.get();
    PEAK.set(before);
    let result = f();
    ((PEAK.get() - before).max(0) as usize, result)
}

/// How often `f` made this thread allocate.
pub fn calls(f: impl FnOnce()) -> usize {
    let before = CALLS.get();
    f();
    CALLS.get() - before
}
