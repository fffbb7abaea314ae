//! Memory that may not be there: checked sizes, fallible allocation, and slices that threads share.

use std::cell::Cell;
use std::marker::PhantomData;

use bytemuck::{Pod, Zeroable};

use crate::error::{Error, Result};

/// A cache line: makes a buffer's start aligned for any vector load.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
pub(super) struct Line([u8; 64]);

/// A vector of `dims` product zeros. The system gives zeroed pages as they are first written, so a long context costs
/// nothing until it is used.
pub(super) fn zeroed<T: Zeroable>(what: &str, dims: &[usize]) -> Result<Vec<T>> {
    let bytes = dims.iter().fold(size_of::<T>() as u64, |bytes, &dim| bytes.saturating_mul(dim as u64));
    let failed = || Error::OutOfMemory { what: what.into(), bytes };
    let len = dims.iter().try_fold(1usize, |len, &dim| len.checked_mul(dim)).ok_or_else(failed)?;
    let layout = std::alloc::Layout::array::<T>(len).map_err(|_| failed())?;
    if layout.size() == 0 {
        return Ok(Vec::new());
    }
    // SAFETY: the layout is that of a Vec of capacity `len` and not empty; zeros are valid values of a Zeroable.
    unsafe {
        let start = std::alloc::alloc_zeroed(layout).cast::<T>();
        if start.is_null() { Err(failed()) } else { Ok(Vec::from_raw_parts(start, len, len)) }
    }
}

/// Where a session's memory comes from, counted: the system, or nowhere, to learn how much it would be.
pub(super) struct Room {
    /// Whether vectors stay empty.
    dry: bool,
    bytes: Cell<u64>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { dry: false, bytes: Cell::new(0) }
    }

    pub(super) fn dry() -> Self {
        Self { dry: true, ..Self::new() }
    }

    /// `zeroed`, or nothing in a dry room.
    pub(super) fn zeroed<T: Zeroable>(&self, what: &str, dims: &[usize]) -> Result<Vec<T>> {
        let bytes = dims.iter().fold(size_of::<T>() as u64, |bytes, &dim| bytes.saturating_mul(dim as u64));
        self.bytes.set(self.bytes.get().saturating_add(bytes));
        if self.dry { Ok(Vec::new()) } else { zeroed(what, dims) }
    }

    /// Bytes that were asked for.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

/// The rows of a batch in one buffer.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    /// [n][width]
    pub(super) x: &'a [f32],
    pub(super) n: usize,
    pub(super) width: usize,
}

impl<'a> Rows<'a> {
    #[inline(always)]
    pub(super) fn row(&self, t: usize) -> &'a [f32] {
        &self.x[t * self.width..][..self.width]
    }
}

/// A mutable slice of which several threads write different parts.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a, T> {
    start: *mut T,
    len: usize,
    life: PhantomData<&'a mut [T]>,
}

// SAFETY: access is only through `part`, whose callers keep threads apart.
unsafe impl<T: Send> Sync for Parts<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for Parts<'_, T> {}

impl<'a, T: Copy> Parts<'a, T> {
    pub(super) fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    /// Elements `at .. at + len`.
    ///
    /// # Safety
    /// No two parts that are alive at once may overlap.
    #[inline(always)]
    pub(super) unsafe fn part(&self, at: usize, len: usize) -> &'a mut [T] {
        assert!(at <= self.len && len <= self.len - at);
        // SAFETY: in bounds, and unique by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(at), len) }
    }

    /// Writes element `at`.
    ///
    /// # Safety
    /// Nobody else may use the element meanwhile.
    #[inline(always)]
    pub(super) unsafe fn set(&self, at: usize, x: T) {
        assert!(at < self.len);
        // SAFETY: in bounds, and unshared by the caller's promise; the old element is a plain value.
        unsafe { self.start.add(at).write(x) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_is_an_error() {
        for dims in [&[usize::MAX, 2][..], &[usize::MAX / 8][..]] {
            let error = zeroed::<f32>("test", dims).unwrap_err();
            assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
        }
        assert_eq!(zeroed::<f32>("test", &[2, 3]).unwrap(), [0.0; 6]);
        assert!(zeroed::<f32>("test", &[0]).unwrap().is_empty());
    }
}
