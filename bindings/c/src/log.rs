//! Where log messages go: nowhere, until the program gives a callback.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::{Once, PoisonError, RwLock};

use gabion::{Error, Result};
use log::{LevelFilter, Log, Metadata, Record};

use crate::status::{GABION_OK, c_string, gabion_status, guard};

/// No messages.
pub const GABION_LOG_OFF: i32 = 0;
/// What went wrong.
pub const GABION_LOG_ERROR: i32 = 1;
/// What may not be what you want.
pub const GABION_LOG_WARN: i32 = 2;
/// What was chosen.
pub const GABION_LOG_INFO: i32 = 3;
/// What is going on.
pub const GABION_LOG_DEBUG: i32 = 4;
/// Everything.
pub const GABION_LOG_TRACE: i32 = 5;

/// Gets a message: one line without its newline, NUL-terminated, alive during the call. Comes from any thread, from
/// several at once. It must not call gabion.
pub type gabion_log_fn =
    Option<unsafe extern "C" fn(level: i32, target: *const c_char, message: *const c_char, user_data: *mut c_void)>;

/// Sends log messages up to `level` (GABION_LOG_*) to `callback`; NULL or GABION_LOG_OFF ends that. When this returns, the
/// callback given before is no longer running, so what its `user_data` points to may be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_set_log_callback(
    callback: gabion_log_fn,
    level: i32,
    user_data: *mut c_void,
) -> gabion_status {
    guard(|| {
        let level = filter(level)?;
        if LOGGING.get() {
            return Err(Error::Busy("a log callback cannot change the log callback".into()));
        }
        install();
        let sink = callback.map(|call| Sink { call, user_data });
        let level = if sink.is_some() { level } else { LevelFilter::Off };
        *LOGGER.0.write().unwrap_or_else(PoisonError::into_inner) = sink;
        log::set_max_level(level);
        Ok(GABION_OK)
    })
}

fn filter(level: i32) -> Result<LevelFilter> {
    let levels = LevelFilter::iter().nth(usize::try_from(level).unwrap_or(usize::MAX));
    levels.ok_or_else(|| Error::InvalidArgument(format!("{level} is not a log level")))
}

struct Sink {
    call: unsafe extern "C" fn(i32, *const c_char, *const c_char, *mut c_void),
    user_data: *mut c_void,
}

// SAFETY: the pointer is only handed back to the callback, which the header says is called from any thread
unsafe impl Send for Sink {}
// SAFETY: as above; the callback is called from several threads at once
unsafe impl Sync for Sink {}

struct Logger(RwLock<Option<Sink>>);

static LOGGER: Logger = Logger(RwLock::new(None));

thread_local! {
    /// Whether this thread is inside the callback: what is logged from there is dropped, since it would never end.
    static LOGGING: Cell<bool> = const { Cell::new(false) };
}

/// Takes the log crate's messages. Fails only where a Rust program that links this library has a logger of its own, which
/// then gets them.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(log::set_logger(&LOGGER)));
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        // a thread that is ending has no thread-locals any more
        let nested = LOGGING.try_with(|logging| logging.replace(true)).unwrap_or(true);
        if !nested {
            self.send(record);
            LOGGING.set(false);
        }
    }

    fn flush(&self) {}
}

impl Logger {
    fn send(&self, record: &Record<'_>) {
        let sink = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(sink) = &*sink else { return };
        let (target, message) = (c_string(record.target()), c_string(record.args().to_string()));
        // SAFETY: the callback's contract; both strings live during the call
        unsafe { (sink.call)(record.level() as i32, target.as_ptr(), message.as_ptr(), sink.user_data) }
    }
}
