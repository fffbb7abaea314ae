//! Ctrl-C: the first one asks the running work to stop, a second one before it has stopped ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once};

use gabion::CancelFlag;

use crate::failure::INTERRUPTED;

static HIT: AtomicBool = AtomicBool::new(false);
static INSTALLED: Once = Once::new();
static RUNNING: Mutex<Option<CancelFlag>> = Mutex::new(None);

/// Takes Ctrl-C over from the operating system. Not before the program has read its input: a blocked read would not stop.
pub(crate) fn install() {
    INSTALLED.call_once(set_handler);
}

fn set_handler() {
    let result = ctrlc::set_handler(|| {
        if HIT.swap(true, Ordering::SeqCst) {
            std::process::exit(INTERRUPTED.into());
        }
        if let Some(flag) = &*running() {
            flag.cancel();
        }
    });
    if let Err(error) = result {
        log::warn!("Ctrl-C will end the program at once: {error}");
    }
}

/// Sets what the next Ctrl-C cancels.
pub(crate) fn watch(flag: CancelFlag) {
    *running() = Some(flag);
}

/// Whether Ctrl-C was pressed since the last `reset`.
pub(crate) fn hit() -> bool {
    HIT.load(Ordering::SeqCst)
}

/// Forgets a Ctrl-C that was obeyed.
pub(crate) fn reset() {
    HIT.store(false, Ordering::SeqCst);
}

fn running() -> std::sync::MutexGuard<'static, Option<CancelFlag>> {
    RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
