//! `gabion_session`: one timeline of tokens. Rust's borrow rules become run-time checks here: whoever comes while a call
//! or a generation has the session gets `Error::Busy`.

use std::mem::{offset_of, size_of};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use gabion::{CancelFlag, Error, KvType, Result, Session, SessionOptions};

use crate::input::{Versioned, handle, options, slice};
use crate::model::gabion_model;
use crate::output::{Out, create, destroy, fill_sized};
use crate::status::{GABION_OK, gabion_status, guard, guard_free};

/// What suits the model: f16, or f32 where it was loaded `exact`.
pub const GABION_KV_DEFAULT: i32 = 0;
/// IEEE half.
pub const GABION_KV_F16: i32 = 1;
/// Float32.
pub const GABION_KV_F32: i32 = 2;
/// 8 bits with a scale for 32 elements.
pub const GABION_KV_Q8_0: i32 = 3;
/// 4 bits with a scale for 32 elements.
pub const GABION_KV_Q4_0: i32 = 4;

/// The cache type of a GABION_KV_*.
pub(crate) fn kv_type(number: i32) -> Result<Option<KvType>> {
    Ok(Some(match number {
        GABION_KV_DEFAULT => return Ok(None),
        GABION_KV_F16 => KvType::F16,
        GABION_KV_F32 => KvType::F32,
        GABION_KV_Q8_0 => KvType::Q8_0,
        GABION_KV_Q4_0 => KvType::Q4_0,
        other => return Err(Error::InvalidArgument(format!("kv_type {other} is not one of GABION_KV_*"))),
    }))
}

/// One timeline of tokens over a model: its cache and its logits. It keeps what it needs of the model.
///
/// Threads: one at a time, any thread. A call that comes while another one runs, or while a generation of this session is
/// not freed, does nothing and returns GABION_ERROR_BUSY. gabion_session_cancel may be called at any time from any thread.
/// Freeing it while another thread uses it is an error that cannot be detected.
pub struct gabion_session {
    pub(crate) shared: Arc<Shared>,
}

/// What the session's handle and a running generation have in common: it lives until both are freed.
pub(crate) struct Shared {
    cancel: CancelFlag,
    n_ctx: usize,
    slot: Mutex<Slot>,
}

/// Where the session is.
enum Slot {
    Idle(Box<Session>),
    /// A generation has it.
    Lent,
    /// A panic left it in an unknown state: it is only kept to be freed.
    Broken(#[allow(dead_code)] Box<Session>),
}

fn broken<T>() -> Result<T> {
    Err(Error::Internal("this session failed internally before; free it and make a new one".into()))
}

impl Shared {
    fn new(session: Session) -> Arc<Self> {
        let (cancel, n_ctx) = (session.cancel_flag(), session.n_ctx());
        Arc::new(Self { cancel, n_ctx, slot: Mutex::new(Slot::Idle(Box::new(session))) })
    }

    fn lock(&self) -> Result<MutexGuard<'_, Slot>> {
        match self.slot.try_lock() {
            Ok(slot) => Ok(slot),
            Err(TryLockError::Poisoned(_)) => broken(),
            Err(TryLockError::WouldBlock) => Err(Error::Busy("another call is using this session".into())),
        }
    }

    /// Runs `body` on the session if nobody else has it.
    fn with<T>(&self, body: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        match &mut *self.lock()? {
            Slot::Idle(session) => body(session),
            Slot::Lent => Err(Error::Busy("a generation of this session is running: free it first".into())),
            Slot::Broken(_) => broken(),
        }
    }
}

/// A session taken out of its slot for longer than one call; it goes back when this is dropped.
pub(crate) struct Lease {
    shared: Arc<Shared>,
    session: *mut Session,
    /// Whether the session comes back usable. False while it runs, so that it stays false after a panic.
    pub(crate) sound: bool,
}

// SAFETY: it owns the session it points to, and `Session` is Send
unsafe impl Send for Lease where Session: Send {}

impl Lease {
    pub(crate) fn new(shared: &Arc<Shared>) -> Result<Self> {
        let mut slot = shared.lock()?;
        match std::mem::replace(&mut *slot, Slot::Lent) {
            Slot::Idle(session) => {
                Ok(Self { shared: Arc::clone(shared), session: Box::into_raw(session), sound: true })
            }
            Slot::Lent => Err(Error::Busy("a generation of this session is running: free it first".into())),
            other => {
                *slot = other;
                broken()
            }
        }
    }

    /// The session, for as long as this lease exists.
    ///
    /// # Safety
    /// The reference, and what borrows from it, is dropped before the lease, and only one exists at a time.
    pub(crate) unsafe fn session<'a>(&self) -> &'a mut Session {
        // SAFETY: it came from Box::into_raw in `new` and is freed in `drop`; unique by this function's contract
        unsafe { &mut *self.session }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // SAFETY: it came from Box::into_raw in `new`, and nothing borrows from it any more
        let session = unsafe { Box::from_raw(self.session) };
        let slot = if self.sound { Slot::Idle(session) } else { Slot::Broken(session) };
        *self.shared.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }
}

/// How large a session is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_session_options {
    /// sizeof(gabion_session_options)
    pub struct_size: usize,
    /// Tokens that fit; 0 for the smaller of 4096 and what the model was trained for.
    pub n_ctx: usize,
    /// Tokens computed at once; 0 for what the device prefers.
    pub n_batch: usize,
    /// Element type of the cache: GABION_KV_*.
    pub kv_type: i32,
}

// SAFETY: repr(C), begins with its size, only integers
unsafe impl Versioned for gabion_session_options {
    const FIRST_SIZE: usize = offset_of!(Self, kv_type) + size_of::<i32>();
    fn initial() -> Self {
        Self { struct_size: size_of::<Self>(), n_ctx: 0, n_batch: 0, kv_type: GABION_KV_DEFAULT }
    }
}

/// Writes the defaults into `options`, whose size is `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_options_init(
    options: *mut gabion_session_options,
    struct_size: usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill_sized(options, struct_size, "options", gabion_session_options::initial()) })
}

/// Makes a session with an empty context. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_new(
    model: *const gabion_model,
    options: *const gabion_session_options,
    session: *mut *mut gabion_session,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let (it, options) = unsafe { (handle(model, "model")?, session_options(options)?) };
        Ok(gabion_session { shared: Shared::new(it.model.session(&options)?) })
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(session, make) })
}

/// # Safety
/// `ptr` is as the header says.
unsafe fn session_options(ptr: *const gabion_session_options) -> Result<SessionOptions> {
    // SAFETY: passed on to the caller
    let given = unsafe { options(ptr, "options") }?;
    Ok(SessionOptions { n_ctx: given.n_ctx, n_batch: given.n_batch, kv: kv_type(given.kv_type)? })
}

/// Frees a session. NULL is a no-op. A generation that still has it keeps it alive.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_free(session: *mut gabion_session) {
    // SAFETY: the header's contract
    guard_free(|| unsafe { destroy(session) });
}

/// Stops what the session is doing: the running call returns GABION_ERROR_CANCELLED soon, or the next step of a running
/// generation does. A request that comes when nothing runs is dropped by the next sync, score or generate. May be called
/// from any thread and from a signal handler: it only sets a flag. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_cancel(session: *const gabion_session) {
    // no guard: nothing here can panic, and a signal handler must not touch thread-locals
    if !session.is_null() {
        // SAFETY: not NULL, and alive by the header's contract; only an atomic flag is touched
        unsafe { &*session }.shared.cancel.cancel();
    }
}

/// Tokens that fit into the context; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_n_ctx(session: *const gabion_session) -> usize {
    // SAFETY: the header's contract
    unsafe { handle(session, "session") }.map_or(0, |it| it.shared.n_ctx)
}

/// Empties the context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_clear(session: *mut gabion_session) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let it = unsafe { handle(session, "session") }?;
        it.shared.with(|session| {
            session.clear();
            Ok(GABION_OK)
        })
    })
}

/// Makes the context exactly `tokens`, at least one, and computes the logits after the last. Give the whole text every
/// time: what is already there is reused, what differs is dropped and computed anew. `n_reused` and `n_computed`, which may
/// be NULL, get how many tokens that were. After an error the context is a prefix of `tokens`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_sync(
    session: *mut gabion_session,
    tokens: *const u32,
    n_tokens: usize,
    n_reused: *mut usize,
    n_computed: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, tokens) = unsafe { (handle(session, "session")?, slice(tokens, n_tokens, "tokens")?) };
        // SAFETY: the header's contract
        let outs = unsafe { [Out::optional(n_reused, "n_reused")?, Out::optional(n_computed, "n_computed")?] };
        let synced = it.shared.with(|session| session.sync(tokens))?;
        for (out, count) in outs.iter().zip([synced.reused, synced.computed]) {
            out.iter().for_each(|out| out.set(count));
        }
        Ok(GABION_OK)
    })
}

/// Appends one token and computes the logits after it. After an error the context is as it was, without logits.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_step(session: *mut gabion_session, token: u32) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let it = unsafe { handle(session, "session") }?;
        it.shared.with(|session| session.step(token))?;
        Ok(GABION_OK)
    })
}

/// The logits after the last token, as many as the vocabulary has; none (`*n_logits` is 0) before the first sync and after
/// an error. Where a generation left them on the device, the last token is computed again. `*logits` is valid
/// until the next call that is given this session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_logits(
    session: *mut gabion_session,
    logits: *mut *const f32,
    n_logits: *mut usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { view(session, (logits, n_logits), |session| session.computed_logits()) })
}

/// The tokens in the context. `*tokens` is valid until the next call that is given this session.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_tokens(
    session: *mut gabion_session,
    tokens: *mut *const u32,
    n_tokens: *mut usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { view(session, (tokens, n_tokens), |session| Ok(session.tokens())) })
}

/// Hands out a view of something the session holds.
///
/// # Safety
/// The pointers are as the header says.
unsafe fn view<T>(
    session: *const gabion_session,
    (data, len): (*mut *const T, *mut usize),
    of: impl FnOnce(&mut Session) -> Result<&[T]>,
) -> Result<gabion_status> {
    // SAFETY: passed on to the caller
    let (it, data, len) =
        unsafe { (handle(session, "session")?, Out::new(data, "the view")?, Out::new(len, "its length")?) };
    it.shared.with(|session| {
        let items = of(session)?;
        data.set(items.as_ptr());
        len.set(items.len());
        Ok(GABION_OK)
    })
}

/// Scores a text: nll[i] = -ln p(token i+1 | tokens 0..=i), one fewer than `tokens`. `capacity` is the room at `nll` in
/// elements, at least n_tokens - 1. Leaves `tokens` as the context.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_score(
    session: *mut gabion_session,
    tokens: *const u32,
    n_tokens: usize,
    nll: *mut f32,
    capacity: usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, tokens) = unsafe { (handle(session, "session")?, slice(tokens, n_tokens, "tokens")?) };
        let wanted = n_tokens.saturating_sub(1);
        if capacity < wanted || (nll.is_null() && wanted > 0) {
            return Err(Error::InvalidArgument(format!("nll has no room for {wanted} elements")));
        }
        let scores = it.shared.with(|session| session.score(tokens))?;
        // SAFETY: the header's contract, and the room was checked
        unsafe { crate::output::copy(&scores, nll, capacity, std::ptr::null_mut()) }
    })
}

/// Saves a session: its tokens, cache, recurrent states and logits, as bytes that a session of the same model takes by
/// gabion_session_restore, on any device and in any program. `*bytes` is the caller's, of `*len` bytes, to be freed by
/// gabion_bytes_free; NULL after an error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_save(
    session: *mut gabion_session,
    bytes: *mut *mut u8,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (bytes, len) = unsafe { (Out::new(bytes, "bytes")?, Out::new(len, "len")?) };
        bytes.set(std::ptr::null_mut());
        len.set(0);
        // SAFETY: the header's contract
        let it = unsafe { handle(session, "session") }?;
        let saved = it.shared.with(|session| session.save())?.into_boxed_slice();
        len.set(saved.len());
        bytes.set(Box::into_raw(saved).cast());
        Ok(GABION_OK)
    })
}

/// Frees what gabion_session_save gave. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_bytes_free(bytes: *mut u8, len: usize) {
    guard_free(|| {
        if !bytes.is_null() {
            // SAFETY: the header's contract: both came from gabion_session_save
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes, len)) });
        }
    });
}

/// Makes the session one that was saved: of the same model, on whatever device, with whatever n_ctx. Its tokens must fit
/// (else GABION_ERROR_CONTEXT_FULL) and its cache be of the same type. What the session held before is dropped. Bytes that
/// are damaged or of another model give GABION_ERROR_INVALID_ARGUMENT and change nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_restore(
    session: *mut gabion_session,
    bytes: *const u8,
    len: usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, saved) = unsafe { (handle(session, "session")?, slice(bytes, len, "bytes")?) };
        it.shared.with(|session| session.restore(saved))?;
        Ok(GABION_OK)
    })
}

/// Makes another session with the same contents and options, which goes its own way from here; its cache is copied on the
/// device.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_fork(
    session: *mut gabion_session,
    fork: *mut *mut gabion_session,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let it = unsafe { handle(session, "session") }?;
        Ok(gabion_session { shared: Shared::new(it.shared.with(|session| session.fork())?) })
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(fork, make) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::GABION_ERROR_INTERNAL;

    fn session() -> Arc<Shared> {
        let options = gabion::RuntimeOptions { device: "cpu".into(), threads: Some(1), level: None };
        let runtime = gabion::Runtime::new(&options).unwrap();
        let model = gabion_tests::toy::llama().load(&runtime, &gabion::ModelOptions::default()).unwrap();
        Shared::new(model.session(&SessionOptions::default()).unwrap())
    }

    fn use_it(shared: &Shared) -> Result<()> {
        shared.with(|session| session.sync(&[1, 2]).map(drop))
    }

    #[test]
    fn a_panic_in_a_call_breaks_the_session_for_good() {
        let shared = session();
        use_it(&shared).unwrap();
        let status = guard(|| shared.with(|_| panic!("expected by this test")));
        assert_eq!(status, GABION_ERROR_INTERNAL);
        for _ in 0..2 {
            assert_eq!(use_it(&shared).unwrap_err().code(), GABION_ERROR_INTERNAL);
            assert_eq!(Lease::new(&shared).err().unwrap().code(), GABION_ERROR_INTERNAL);
        }
    }

    #[test]
    fn a_panic_in_a_generation_breaks_the_session_for_good() {
        let shared = session();
        let status = guard(|| {
            let mut lease = Lease::new(&shared)?;
            lease.sound = false;
            panic!("expected by this test");
        });
        assert_eq!(status, GABION_ERROR_INTERNAL);
        assert_eq!(use_it(&shared).unwrap_err().code(), GABION_ERROR_INTERNAL);
    }

    #[test]
    fn a_lease_gives_the_session_back() {
        let shared = session();
        let lease = Lease::new(&shared).unwrap();
        assert!(matches!(use_it(&shared), Err(Error::Busy(_))));
        assert!(matches!(Lease::new(&shared), Err(Error::Busy(_))));
        drop(lease);
        use_it(&shared).unwrap();
    }

    fn sendable<T: Send>() {}
    fn shareable<T: Send + Sync>() {}

    #[test]
    fn handles_keep_the_thread_contract() {
        shareable::<gabion::Runtime>();
        shareable::<gabion::Model>();
        sendable::<Session>();
        shareable::<Shared>();
    }
}
