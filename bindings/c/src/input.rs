//! Reads what C hands in: handles, strings, arrays, and structs that begin with their own size.

use std::ffi::{CStr, c_char};
use std::mem::{align_of, size_of};

use gabion::{Error, Result};

/// No struct of this interface will ever be this large: a size above it is garbage.
const MAX_STRUCT: usize = 4096;

/// A struct of the interface that begins with `struct_size: usize`, so that it can grow.
///
/// # Safety
/// The type is `repr(C)`, its first field is the `usize` size, and any bytes are a valid value of it.
pub(crate) unsafe trait Versioned: Copy {
    /// Its size in the first version of the interface: what every caller has.
    const FIRST_SIZE: usize;
    /// Every field's default, and the size.
    fn initial() -> Self;
}

fn invalid<T>(what: impl Into<String>) -> Result<T> {
    Err(Error::InvalidArgument(what.into()))
}

/// Refuses sizes that no caller's struct can have.
pub(crate) fn check_size<T: Versioned>(size: usize, what: &str) -> Result<()> {
    let known = size >= T::FIRST_SIZE && size <= MAX_STRUCT && size.is_multiple_of(align_of::<T>());
    if known { Ok(()) } else { invalid(format!("{what}: struct_size {size} is not the size of this struct")) }
}

fn check_pointer<T>(ptr: *const T, what: &str) -> Result<()> {
    if ptr.is_null() {
        return invalid(format!("{what} is NULL"));
    }
    if ptr.is_aligned() { Ok(()) } else { invalid(format!("{what} is not aligned")) }
}

/// The object behind a handle.
///
/// # Safety
/// `ptr` is NULL or a handle of this type that is not freed during `'a`.
pub(crate) unsafe fn handle<'a, T>(ptr: *const T, what: &str) -> Result<&'a T> {
    check_pointer(ptr, what)?;
    // SAFETY: not NULL, aligned, and alive by this function's contract
    Ok(unsafe { &*ptr })
}

/// An array of `len` elements; NULL is fine where it is empty.
///
/// # Safety
/// `ptr` is NULL or points to `len` elements that do not change during `'a`.
pub(crate) unsafe fn slice<'a, T>(ptr: *const T, len: usize, what: &str) -> Result<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    check_pointer(ptr, what)?;
    if len > isize::MAX as usize / size_of::<T>() {
        return invalid(format!("{what} cannot have {len} elements"));
    }
    // SAFETY: not NULL, aligned, its size fits, and readable by this function's contract
    Ok(unsafe { std::slice::from_raw_parts(ptr, len) })
}

/// `len` bytes, or up to the first NUL where `len` is SIZE_MAX.
///
/// # Safety
/// As for `slice`; where `len` is SIZE_MAX, `ptr` points to a NUL-terminated string.
pub(crate) unsafe fn bytes<'a>(ptr: *const c_char, len: usize, what: &str) -> Result<&'a [u8]> {
    if len == usize::MAX {
        check_pointer(ptr, what)?;
        // SAFETY: not NULL, and NUL-terminated by this function's contract
        return Ok(unsafe { CStr::from_ptr(ptr) }.to_bytes());
    }
    // SAFETY: passed on to the caller
    unsafe { slice(ptr.cast(), len, what) }
}

/// As `bytes`, which must be UTF-8.
///
/// # Safety
/// As for `bytes`.
pub(crate) unsafe fn text<'a>(ptr: *const c_char, len: usize, what: &str) -> Result<&'a str> {
    // SAFETY: passed on to the caller
    let bytes = unsafe { bytes(ptr, len, what) }?;
    let error = |e: std::str::Utf8Error| Error::InvalidArgument(format!("{what} is not UTF-8: {e}"));
    std::str::from_utf8(bytes).map_err(error)
}

/// A caller's struct: the fields it knows; defaults for the rest, and for all of them where `ptr` is NULL.
///
/// # Safety
/// `ptr` is NULL or points to a struct of as many bytes as its `struct_size` says.
pub(crate) unsafe fn options<T: Versioned>(ptr: *const T, what: &str) -> Result<T> {
    let mut value = T::initial();
    if ptr.is_null() {
        return Ok(value);
    }
    check_pointer(ptr, what)?;
    // SAFETY: not NULL, aligned, and every such struct begins with its size
    let size = unsafe { ptr.cast::<usize>().read() };
    check_size::<T>(size, what)?;
    // SAFETY: both sides have that many bytes; any bytes are a valid T
    unsafe { std::ptr::copy_nonoverlapping(ptr.cast(), (&raw mut value).cast::<u8>(), size.min(size_of::<T>())) };
    Ok(value)
}

/// A caller's array of structs that can grow: `struct_size` of the first is the distance between them.
///
/// # Safety
/// `ptr` is NULL or points to `len` structs, each as large as the first one's `struct_size` says.
pub(crate) unsafe fn option_list<T: Versioned>(ptr: *const T, len: usize, what: &str) -> Result<Vec<T>> {
    if len == 0 {
        return Ok(Vec::new());
    }
    check_pointer(ptr, what)?;
    // SAFETY: not NULL, aligned, and every such struct begins with its size
    let stride = unsafe { ptr.cast::<usize>().read() };
    check_size::<T>(stride, what)?;
    // SAFETY: the array is that large, so its bytes can be addressed
    unsafe { slice(ptr.cast::<u8>(), len.saturating_mul(stride), what) }?;
    let item = |i: usize| {
        // SAFETY: element i of the caller's array; its own size is checked to be the stride before it is trusted
        let at = unsafe { ptr.byte_add(i * stride) };
        // SAFETY: as above
        if unsafe { at.cast::<usize>().read() } != stride {
            return invalid(format!("{what}: struct_size of element {i} differs from the first one's"));
        }
        // SAFETY: as above
        unsafe { options(at, what) }
    };
    (0..len).map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Pair {
        struct_size: usize,
        a: u64,
        b: u64,
    }

    // SAFETY: repr(C), begins with its size, only integers
    unsafe impl Versioned for Pair {
        const FIRST_SIZE: usize = 16;
        fn initial() -> Self {
            Self { struct_size: size_of::<Self>(), a: 1, b: 2 }
        }
    }

    fn read(size: usize) -> Result<Pair> {
        let given = Pair { struct_size: size, a: 7, b: 8 };
        // SAFETY: `given` is larger than every size that is accepted below
        unsafe { options(&given, "pair") }
    }

    #[test]
    fn older_callers_get_defaults_for_what_they_do_not_know() {
        assert_eq!(read(24).unwrap(), Pair { struct_size: 24, a: 7, b: 8 });
        assert_eq!(read(16).unwrap(), Pair { struct_size: 16, a: 7, b: 2 });
        // SAFETY: NULL is allowed
        assert_eq!(unsafe { options::<Pair>(std::ptr::null(), "pair") }.unwrap(), Pair::initial());
    }

    #[test]
    fn newer_callers_are_read_as_far_as_known() {
        let given = [Pair { struct_size: 32, a: 7, b: 8 }, Pair { struct_size: 0, a: 0, b: 0 }];
        // SAFETY: 32 bytes are there
        assert_eq!(unsafe { options(given.as_ptr(), "pair") }.unwrap().b, 8);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        for size in [0, 1, 8, 15, 17, 8192, usize::MAX] {
            assert_eq!(read(size).unwrap_err().code(), -1, "{size}");
        }
    }

    #[test]
    fn lists_step_by_the_size_their_maker_knew() {
        // two elements of an older, 16-byte struct
        let old: [usize; 4] = [16, 5, 16, 6];
        // SAFETY: two elements of 16 bytes
        let list = unsafe { option_list::<Pair>(old.as_ptr().cast(), 2, "pairs") }.unwrap();
        assert_eq!(list.iter().map(|p| (p.a, p.b)).collect::<Vec<_>>(), [(5, 2), (6, 2)]);
        let mixed: [usize; 4] = [16, 5, 24, 6];
        // SAFETY: as above
        assert!(unsafe { option_list::<Pair>(mixed.as_ptr().cast(), 2, "pairs") }.is_err());
        // SAFETY: the length is refused before anything behind the first element is read
        assert!(unsafe { option_list::<Pair>(old.as_ptr().cast(), usize::MAX, "pairs") }.is_err());
    }

    #[test]
    fn arrays_and_strings() {
        // SAFETY: NULL, empty or literal arguments
        unsafe {
            assert!(slice::<u32>(std::ptr::null(), 0, "ids").unwrap().is_empty());
            assert!(slice::<u32>(std::ptr::null(), 1, "ids").is_err());
            assert!(slice(&0u32, usize::MAX / 4, "ids").is_err());
            assert!(slice(std::ptr::without_provenance::<u32>(2), 1, "ids").is_err());
            assert_eq!(text(c"abc".as_ptr(), usize::MAX, "text").unwrap(), "abc");
            assert_eq!(text(c"abc".as_ptr(), 2, "text").unwrap(), "ab");
            assert_eq!(text(std::ptr::null(), 0, "text").unwrap(), "");
            assert!(text(std::ptr::null(), usize::MAX, "text").is_err());
            assert!(text(c"\xff".as_ptr(), 1, "text").unwrap_err().to_string().contains("UTF-8"));
        }
    }
}
