//! Hands results to C: through out pointers, into the caller's buffers, and into structs that begin with their size.

use std::ffi::c_char;
use std::mem::size_of;
use std::ptr::NonNull;

use gabion::{Error, Result};

use crate::input::{Versioned, check_size};
use crate::status::{GABION_OK, GABION_TRUNCATED, gabion_status};

/// Where a result goes: a pointer that is neither NULL nor unaligned.
pub(crate) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// # Safety
    /// `ptr` is NULL or can be written until the result is set.
    pub(crate) unsafe fn new(ptr: *mut T, what: &str) -> Result<Self> {
        let there = NonNull::new(ptr).ok_or_else(|| Error::InvalidArgument(format!("{what} is NULL")))?;
        let aligned = there.is_aligned();
        if aligned { Ok(Self(there)) } else { Err(Error::InvalidArgument(format!("{what} is not aligned"))) }
    }

    /// For results that a caller need not want: NULL gives `None`.
    ///
    /// # Safety
    /// As for `new`.
    pub(crate) unsafe fn optional(ptr: *mut T, what: &str) -> Result<Option<Self>> {
        // SAFETY: passed on to the caller
        if ptr.is_null() { Ok(None) } else { unsafe { Self::new(ptr, what) }.map(Some) }
    }

    /// Writes the result.
    pub(crate) fn set(&self, value: T) {
        // SAFETY: not NULL, aligned, and writable by the contract of `new`
        unsafe { self.0.write(value) }
    }
}

/// Makes an object and hands it over: `*ptr` is its handle, or NULL after an error.
///
/// # Safety
/// `ptr` is NULL or can be written.
pub(crate) unsafe fn create<T>(ptr: *mut *mut T, make: impl FnOnce() -> Result<T>) -> Result<gabion_status> {
    // SAFETY: passed on to the caller
    let out = unsafe { Out::new(ptr, "the result pointer") }?;
    out.set(std::ptr::null_mut());
    out.set(Box::into_raw(Box::new(make()?)));
    Ok(GABION_OK)
}

/// Ends an object's life; NULL is a no-op.
///
/// # Safety
/// `ptr` is NULL or came from `create`, and nobody uses it any more.
pub(crate) unsafe fn destroy<T>(ptr: *mut T) {
    if !ptr.is_null() {
        // SAFETY: it came from Box::into_raw in `create`
        drop(unsafe { Box::from_raw(ptr) });
    }
}

/// Writes as much of `value` as the caller's struct has room for; its `struct_size` stays.
///
/// # Safety
/// `ptr` is NULL or points to a struct of as many bytes as its `struct_size` says.
pub(crate) unsafe fn fill<T: Versioned>(ptr: *mut T, what: &str, value: T) -> Result<gabion_status> {
    // SAFETY: passed on to the caller
    let out = unsafe { Out::new(ptr, what) }?;
    // SAFETY: not NULL, aligned, and every such struct begins with its size
    let size = unsafe { out.0.cast::<usize>().read() };
    // SAFETY: passed on to the caller
    unsafe { fill_sized(ptr, size, what, value) }
}

/// As `fill`, for a struct whose size is given apart; bytes that this version does not know become 0.
///
/// # Safety
/// `ptr` is NULL or points to `size` bytes.
pub(crate) unsafe fn fill_sized<T: Versioned>(ptr: *mut T, size: usize, what: &str, value: T) -> Result<gabion_status> {
    // SAFETY: passed on to the caller
    let out = unsafe { Out::new(ptr, what) }?;
    check_size::<T>(size, what)?;
    let known = size.min(size_of::<T>());
    let bytes = out.0.cast::<u8>().as_ptr();
    // SAFETY: the caller's struct has `size` bytes, `value` has at least `known`; the size field is written last
    unsafe {
        std::ptr::copy_nonoverlapping((&raw const value).cast::<u8>(), bytes, known);
        bytes.add(known).write_bytes(0, size - known);
        out.0.cast::<usize>().write(size);
    }
    Ok(GABION_OK)
}

/// Copies `items` into a caller's buffer, as many as fit, and says how many there are. A NULL buffer only asks.
///
/// # Safety
/// `buffer` is NULL or has room for `capacity` elements; `len` is NULL or can be written.
pub(crate) unsafe fn copy<T: Copy>(
    items: &[T],
    buffer: *mut T,
    capacity: usize,
    len: *mut usize,
) -> Result<gabion_status> {
    // SAFETY: passed on to the caller
    if let Some(len) = unsafe { Out::optional(len, "len") }? {
        len.set(items.len());
    }
    if buffer.is_null() {
        return Ok(GABION_OK);
    }
    // SAFETY: passed on to the caller
    let out = unsafe { Out::new(buffer, "the buffer") }?;
    // SAFETY: both sides have that many elements
    unsafe { std::ptr::copy_nonoverlapping(items.as_ptr(), out.0.as_ptr(), items.len().min(capacity)) };
    Ok(if items.len() <= capacity { GABION_OK } else { GABION_TRUNCATED })
}

/// As `copy` for text: whole characters only, always ended by a NUL that `len` does not count.
///
/// # Safety
/// As for `copy`.
pub(crate) unsafe fn copy_text(
    text: &str,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> Result<gabion_status> {
    // SAFETY: passed on to the caller
    if let Some(len) = unsafe { Out::optional(len, "len") }? {
        len.set(text.len());
    }
    if buffer.is_null() {
        return Ok(GABION_OK);
    }
    let Some(room) = capacity.checked_sub(1) else { return Ok(GABION_TRUNCATED) };
    let end = text.floor_char_boundary(room);
    // SAFETY: `end` characters and the NUL fit into `capacity`
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), end);
        buffer.add(end).write(0);
    }
    Ok(if end == text.len() { GABION_OK } else { GABION_TRUNCATED })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(text: &str, capacity: usize) -> (gabion_status, Vec<u8>, usize) {
        let (mut buffer, mut len) = ([0x55u8; 8], 0);
        // SAFETY: the buffer is at least as large as every capacity below
        let status = unsafe { copy_text(text, buffer.as_mut_ptr().cast(), capacity, &mut len) }.unwrap();
        (status, buffer.to_vec(), len)
    }

    #[test]
    fn text_is_cut_at_characters_and_ended() {
        assert_eq!(copied("aé", 4), (GABION_OK, b"a\xc3\xa9\0UUUU".to_vec(), 3));
        assert_eq!(copied("aé", 3), (GABION_TRUNCATED, b"a\0UUUUUU".to_vec(), 3));
        assert_eq!(copied("", 1), (GABION_OK, b"\0UUUUUUU".to_vec(), 0));
        assert_eq!(copied("a", 0), (GABION_TRUNCATED, b"UUUUUUUU".to_vec(), 1));
    }

    #[test]
    fn arrays_are_cut_to_the_buffer() {
        let (mut buffer, mut len) = ([0u32; 2], 0);
        // SAFETY: two elements fit
        let status = unsafe { copy(&[1, 2, 3], buffer.as_mut_ptr(), 2, &mut len) }.unwrap();
        assert_eq!((status, buffer, len), (GABION_TRUNCATED, [1, 2], 3));
        // SAFETY: NULL only asks
        let status = unsafe { copy(&[1, 2, 3], std::ptr::null_mut(), 0, &mut len) }.unwrap();
        assert_eq!((status, len), (GABION_OK, 3));
    }
}
