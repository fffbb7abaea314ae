//! Status codes, the text of the last error, and the guard that every export runs in.

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use gabion::{Error, Result};

/// What a call came to: 0 is success, negative is an error, positive is success with something to notice.
pub type gabion_status = i32;

/// It worked.
pub const GABION_OK: i32 = 0;
/// There is nothing more to come.
pub const GABION_DONE: i32 = 1;
/// It worked, but the buffer holds only the start of the result.
pub const GABION_TRUNCATED: i32 = 2;
/// There is no such thing.
pub const GABION_NOT_FOUND: i32 = 3;
/// An argument is outside what the function documents.
pub const GABION_ERROR_INVALID_ARGUMENT: i32 = -1;
/// Reading a file failed.
pub const GABION_ERROR_IO: i32 = -2;
/// The file is not a GGUF file that can be trusted.
pub const GABION_ERROR_GGUF: i32 = -3;
/// The file is sound but holds something this version cannot run.
pub const GABION_ERROR_UNSUPPORTED: i32 = -4;
/// The model's tensors or hyperparameters contradict each other.
pub const GABION_ERROR_MODEL: i32 = -5;
/// The tokenizer's data is missing or broken, or its kind unknown.
pub const GABION_ERROR_TOKENIZER: i32 = -6;
/// The chat template is missing, failed or exceeded its limits.
pub const GABION_ERROR_TEMPLATE: i32 = -7;
/// No device of that name, or it cannot be used.
pub const GABION_ERROR_DEVICE: i32 = -8;
/// The device was lost. Make a new runtime and load the model again; a session's tokens are enough to rebuild it.
pub const GABION_ERROR_DEVICE_LOST: i32 = -9;
/// Memory could not be had; the error text says how much.
pub const GABION_ERROR_OUT_OF_MEMORY: i32 = -10;
/// The session's context is full.
pub const GABION_ERROR_CONTEXT_FULL: i32 = -11;
/// Cancelled by the caller.
pub const GABION_ERROR_CANCELLED: i32 = -12;
/// A defect in gabion itself. The object that was used refuses to work from then on; free it.
pub const GABION_ERROR_INTERNAL: i32 = -13;
/// The object is in use: by another thread, by a generation that is not freed, or by the call this callback runs in.
pub const GABION_ERROR_BUSY: i32 = -14;

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// The text of the last error on this thread, or "". Never NULL. Valid until the next call that fails on this thread.
#[unsafe(no_mangle)]
pub extern "C" fn gabion_last_error() -> *const c_char {
    // a thread that is ending has no thread-locals any more
    LAST_ERROR.try_with(|text| text.borrow().as_ptr()).unwrap_or(c"".as_ptr())
}

/// Runs the body of an export: errors and panics become a status and this thread's error text.
pub(crate) fn guard(body: impl FnOnce() -> Result<gabion_status>) -> gabion_status {
    silence_panics();
    let caught = catch_unwind(AssertUnwindSafe(body));
    let error = match caught {
        Ok(Ok(status)) => return status,
        Ok(Err(error)) => error,
        Err(panic) => Error::Internal(format!("panic: {}", message(&*panic))),
    };
    let text = c_string(error.to_string());
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
    error.code()
}

/// As `guard`, for exports that have nothing to report.
pub(crate) fn guard_free(body: impl FnOnce()) {
    guard(|| {
        body();
        Ok(GABION_OK)
    });
}

/// A C string; a NUL inside becomes U+FFFD.
pub(crate) fn c_string(text: impl Into<String>) -> CString {
    let text = text.into();
    CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default()
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let literal = || panic.downcast_ref::<&str>().copied();
    panic.downcast_ref::<String>().map(String::as_str).or_else(literal).unwrap_or("no message")
}

/// A library prints nothing: panics go to the log. This copy of the Rust runtime belongs to the library alone, so the
/// hook touches nobody else's. (The unit tests share theirs with the test harness, which needs its own.)
fn silence_panics() {
    static ONCE: Once = Once::new();
    #[cfg(not(test))]
    ONCE.call_once(|| std::panic::set_hook(Box::new(|info| log::error!("{info}"))));
    #[cfg(test)]
    let _ = &ONCE;
}

#[cfg(test)]
mod tests {
    use std::ffi::CStr;

    use super::*;

    fn last_error() -> String {
        // SAFETY: the text is a C string that lives until the next failure on this thread
        unsafe { CStr::from_ptr(gabion_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn codes_are_those_of_the_core() {
        let text = String::new;
        let codes = [
            (Error::InvalidArgument(text()), GABION_ERROR_INVALID_ARGUMENT),
            (Error::Io { what: text(), source: std::io::ErrorKind::Other.into() }, GABION_ERROR_IO),
            (Error::Write { what: text(), source: std::io::ErrorKind::Other.into() }, GABION_ERROR_IO),
            (gabion::gguf::GgufError::Truncated(text()).into(), GABION_ERROR_GGUF),
            (Error::Unsupported(text()), GABION_ERROR_UNSUPPORTED),
            (Error::Model(text()), GABION_ERROR_MODEL),
            (Error::Tokenizer(text()), GABION_ERROR_TOKENIZER),
            (Error::Template(text()), GABION_ERROR_TEMPLATE),
            (Error::Device(text()), GABION_ERROR_DEVICE),
            (Error::DeviceLost(text()), GABION_ERROR_DEVICE_LOST),
            (Error::OutOfMemory { what: text(), bytes: 1 }, GABION_ERROR_OUT_OF_MEMORY),
            (Error::ContextFull { wanted: 2, limit: 1 }, GABION_ERROR_CONTEXT_FULL),
            (Error::Cancelled, GABION_ERROR_CANCELLED),
            (Error::Internal(text()), GABION_ERROR_INTERNAL),
            (Error::Busy(text()), GABION_ERROR_BUSY),
        ];
        for (error, code) in codes {
            assert_eq!(error.code(), code, "{error}");
        }
    }

    #[test]
    fn a_panic_becomes_a_status_and_a_text() {
        assert_eq!(guard(|| panic!("no {}", 1)), GABION_ERROR_INTERNAL);
        assert_eq!(last_error(), "internal error: panic: no 1");
    }

    #[test]
    fn success_keeps_the_last_error() {
        assert_eq!(guard(|| Err(Error::Model("a\0b".into()))), GABION_ERROR_MODEL);
        assert_eq!(guard(|| Ok(GABION_DONE)), GABION_DONE);
        assert_eq!(last_error(), "inconsistent model: a\u{fffd}b");
    }
}
