//! `gabion_generation`: a running generation, as an object to step or as one call with a callback.

use std::ffi::{CString, c_char, c_void};
use std::mem::{offset_of, size_of};
use std::ptr::null;
use std::sync::{Arc, Mutex, TryLockError};

use gabion::{Error, GenerateOptions, Generation, Piece, Result, SamplerOptions, StopReason, Synced};

use crate::input::{Versioned, handle, options, slice, text};
use crate::output::{create, destroy, fill, fill_sized};
use crate::session::{Lease, Shared, gabion_session};
use crate::status::{GABION_DONE, GABION_OK, c_string, gabion_status, guard, guard_free};

/// Generation has not ended, or a callback ended it.
pub const GABION_STOP_NONE: i32 = 0;
/// The model ended its turn.
pub const GABION_STOP_EOG: i32 = 1;
/// A stop string was produced.
pub const GABION_STOP_STRING: i32 = 2;
/// `max_tokens` were generated.
pub const GABION_STOP_MAX_TOKENS: i32 = 3;
/// The context is full.
pub const GABION_STOP_CONTEXT: i32 = 4;

/// No token: the piece only brings text that was held back.
pub const GABION_NO_TOKEN: u32 = u32::MAX;

/// A running generation. It has its session to itself until it is freed; the session keeps the tokens that were generated.
///
/// Threads: one at a time, any thread; a call that comes while another one runs returns GABION_ERROR_BUSY. To stop it from
/// another thread, cancel its session.
pub struct gabion_generation {
    running: Mutex<Running>,
}

/// A string: `len` bytes, or GABION_NUL_TERMINATED.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_string {
    /// UTF-8.
    pub data: *const c_char,
    /// Bytes.
    pub len: usize,
}

/// How to generate.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_generate_options {
    /// sizeof(gabion_generate_options)
    pub struct_size: usize,
    /// Most tokens to generate; negative (the default) until the context is full.
    pub max_tokens: i64,
    /// Start of the random sequence: the same seed gives the same text. Default 0.
    pub seed: u64,
    /// Divides the logits; 0 or less picks the most likely token. Default 0.8.
    pub temperature: f32,
    /// Keeps the fewest tokens whose probabilities reach this sum; 1 or more keeps all. Default 0.95.
    pub top_p: f32,
    /// Drops tokens less likely than this times the most likely one; 0 keeps all. Default 0.05.
    pub min_p: f32,
    /// Keeps the k most likely tokens; 0 keeps all. Default 40.
    pub top_k: u32,
    /// Texts that end generation and are not part of the output; at most 64 of 1 to 4096 bytes. Default none.
    pub stop: *const gabion_string,
    /// How many stop strings.
    pub n_stop: usize,
    /// Not 0: go on past end-of-generation tokens. Default 0.
    pub ignore_eog: u32,
    /// How many of the most likely tokens to report at each step; 0 (the default) reports no log-probabilities at all.
    pub logprobs: u32,
}

// SAFETY: repr(C), begins with its size, only numbers and raw pointers
unsafe impl Versioned for gabion_generate_options {
    const FIRST_SIZE: usize = offset_of!(Self, logprobs) + size_of::<u32>();
    fn initial() -> Self {
        let sampler = SamplerOptions::default();
        Self {
            struct_size: size_of::<Self>(),
            max_tokens: -1,
            seed: sampler.seed,
            temperature: sampler.temperature,
            top_p: sampler.top_p,
            min_p: sampler.min_p,
            top_k: sampler.top_k as u32,
            stop: null(),
            n_stop: 0,
            ignore_eog: 0,
            logprobs: 0,
        }
    }
}

/// A token and its log-probability.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_token_logprob {
    /// Token id.
    pub token: u32,
    /// ln p under the model, before sampling options.
    pub logprob: f32,
}

/// One step of a generation. What it points to is valid until the next call that is given the generation, or until the
/// callback it was given to returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_piece {
    /// sizeof(gabion_piece); set it before the call.
    pub struct_size: usize,
    /// Text that is certain now: whole characters, NUL-terminated, no part of a stop string. May be empty, and may belong
    /// to earlier tokens.
    pub text: *const c_char,
    /// Its bytes, without the NUL.
    pub text_len: usize,
    /// The token of this step, or GABION_NO_TOKEN.
    pub token: u32,
    /// Its log-probability under the model, before sampling options; NaN unless `logprobs` were asked for.
    pub logprob: f32,
    /// The most likely tokens of this step, most likely first.
    pub top: *const gabion_token_logprob,
    /// How many.
    pub n_top: usize,
}

// SAFETY: repr(C), begins with its size, only numbers and raw pointers
unsafe impl Versioned for gabion_piece {
    const FIRST_SIZE: usize = offset_of!(Self, n_top) + size_of::<usize>();
    fn initial() -> Self {
        let (struct_size, text, token, top) = (size_of::<Self>(), c"".as_ptr(), GABION_NO_TOKEN, null());
        Self { struct_size, text, text_len: 0, token, logprob: f32::NAN, top, n_top: 0 }
    }
}

/// How far a generation is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_generation_info {
    /// sizeof(gabion_generation_info); set it before the call.
    pub struct_size: usize,
    /// Why it ended: GABION_STOP_*.
    pub stop_reason: i32,
    /// Tokens generated so far.
    pub n_generated: usize,
    /// Prompt tokens that the session had already computed.
    pub n_reused: usize,
    /// Prompt tokens that were computed.
    pub n_computed: usize,
}

// SAFETY: repr(C), begins with its size, only integers
unsafe impl Versioned for gabion_generation_info {
    const FIRST_SIZE: usize = offset_of!(Self, n_computed) + size_of::<usize>();
    fn initial() -> Self {
        let struct_size = size_of::<Self>();
        Self { struct_size, stop_reason: GABION_STOP_NONE, n_generated: 0, n_reused: 0, n_computed: 0 }
    }
}

/// Gets each piece, on the thread that generates. Returns false to stop. It must not use the session, which is busy, other
/// than to cancel it.
pub type gabion_piece_fn = Option<unsafe extern "C" fn(piece: *const gabion_piece, user_data: *mut c_void) -> bool>;

/// A generation with its session, and what the last piece's pointers point to.
struct Running {
    // the order matters: the generation borrows from what the lease owns, and fields drop in order
    generation: Generation<'static>,
    lease: Lease,
    synced: Synced,
    text: CString,
    top: Vec<gabion_token_logprob>,
}

impl Running {
    fn start(shared: &Arc<Shared>, tokens: &[u32], options: &GenerateOptions) -> Result<Self> {
        let mut lease = Lease::new(shared)?;
        lease.sound = false;
        // SAFETY: the only reference; what borrows from it is dropped before the lease (see the order of fields)
        let started = unsafe { lease.session() }.generate(tokens, options);
        lease.sound = true;
        let (generation, synced) = started?;
        Ok(Self { generation, lease, synced, text: CString::default(), top: Vec::new() })
    }

    /// The next piece, which points into `self`; `None` at the end.
    fn next(&mut self) -> Result<Option<gabion_piece>> {
        self.lease.sound = false;
        let piece = self.generation.next();
        self.lease.sound = true;
        Ok(piece?.map(|piece| self.keep(piece)))
    }

    fn keep(&mut self, piece: Piece) -> gabion_piece {
        self.top.clear();
        self.text = c_string(piece.text);
        let mut view = gabion_piece { text: self.text.as_ptr(), ..gabion_piece::initial() };
        view.text_len = self.text.as_bytes().len();
        if let Some(token) = piece.token {
            self.top.extend(token.top.iter().map(|&(token, logprob)| gabion_token_logprob { token, logprob }));
            (view.token, view.logprob) = (token.id, token.logprob);
            (view.top, view.n_top) = (self.top.as_ptr(), self.top.len());
        }
        view
    }

    fn info(&self) -> gabion_generation_info {
        let stop_reason = match self.generation.stop_reason() {
            None => GABION_STOP_NONE,
            Some(StopReason::EndOfGeneration) => GABION_STOP_EOG,
            Some(StopReason::StopString) => GABION_STOP_STRING,
            Some(StopReason::MaxTokens) => GABION_STOP_MAX_TOKENS,
            Some(StopReason::ContextFull) => GABION_STOP_CONTEXT,
        };
        gabion_generation_info {
            stop_reason,
            n_generated: self.generation.generated(),
            n_reused: self.synced.reused,
            n_computed: self.synced.computed,
            ..gabion_generation_info::initial()
        }
    }
}

/// Writes the defaults into `options`, whose size is `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_generate_options_init(
    options: *mut gabion_generate_options,
    struct_size: usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill_sized(options, struct_size, "options", gabion_generate_options::initial()) })
}

/// # Safety
/// `ptr` is as the header says.
unsafe fn generate_options(ptr: *const gabion_generate_options) -> Result<GenerateOptions> {
    // SAFETY: passed on to the caller
    let given = unsafe { options(ptr, "options") }?;
    let sampler = SamplerOptions {
        temperature: given.temperature,
        top_k: given.top_k as usize,
        top_p: given.top_p,
        min_p: given.min_p,
        seed: given.seed,
    };
    Ok(GenerateOptions {
        max_tokens: usize::try_from(given.max_tokens).ok(),
        sampler,
        // SAFETY: passed on to the caller
        stop: unsafe { strings(given.stop, given.n_stop, "stop") }?.into_iter().map(str::to_owned).collect(),
        ignore_eog: given.ignore_eog != 0,
        logprobs: given.logprobs as usize,
    })
}

/// An array of strings.
///
/// # Safety
/// The array is as the header says, and does not change during `'a`.
pub(crate) unsafe fn strings<'a>(ptr: *const gabion_string, len: usize, what: &str) -> Result<Vec<&'a str>> {
    // SAFETY: passed on to the caller
    let read = |s: &gabion_string| unsafe { text(s.data, s.len, what) };
    // SAFETY: passed on to the caller
    unsafe { slice(ptr, len, what) }?.iter().map(read).collect()
}

/// Makes the session's context `tokens` and starts to generate after them; a model with an encoder before its decoder (T5) reads
/// them by that and starts an answer. `options` may be NULL. The session is busy until
/// the generation is freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_generation_new(
    session: *mut gabion_session,
    tokens: *const u32,
    n_tokens: usize,
    options: *const gabion_generate_options,
    generation: *mut *mut gabion_generation,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let (it, tokens) = unsafe { (handle(session, "session")?, slice(tokens, n_tokens, "tokens")?) };
        // SAFETY: the header's contract
        let options = unsafe { generate_options(options) }?;
        Ok(gabion_generation { running: Mutex::new(Running::start(&it.shared, tokens, &options)?) })
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(generation, make) })
}

/// The next piece: GABION_OK with one, GABION_DONE at the end. After an error generation is over.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_generation_next(
    generation: *mut gabion_generation,
    piece: *mut gabion_piece,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let it = unsafe { handle(generation, "generation") }?;
        // checked before a token is spent; at the end it stays empty
        // SAFETY: the header's contract
        unsafe { fill(piece, "piece", gabion_piece::initial()) }?;
        it.with(|running| match running.next()? {
            // SAFETY: the header's contract
            Some(next) => unsafe { fill(piece, "piece", next) },
            None => Ok(GABION_DONE),
        })
    })
}

/// How far a generation is, and why it ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_generation_get_info(
    generation: *mut gabion_generation,
    info: *mut gabion_generation_info,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let it = unsafe { handle(generation, "generation") }?;
        // SAFETY: the header's contract
        it.with(|running| unsafe { fill(info, "info", running.info()) })
    })
}

/// Frees a generation, wherever it is, and gives its session back. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_generation_free(generation: *mut gabion_generation) {
    // SAFETY: the header's contract
    guard_free(|| unsafe { destroy(generation) });
}

impl gabion_generation {
    fn with<T>(&self, body: impl FnOnce(&mut Running) -> Result<T>) -> Result<T> {
        match self.running.try_lock() {
            Ok(mut running) => body(&mut running),
            Err(TryLockError::WouldBlock) => Err(Error::Busy("another call is using this generation".into())),
            Err(TryLockError::Poisoned(_)) => {
                Err(Error::Internal("this generation failed internally before; free it and its session".into()))
            }
        }
    }
}

/// Generates in one call: makes the session's context `tokens`, then hands every piece to `callback`, until it returns
/// false or generation ends. `options`, `callback` and `info` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_session_generate(
    session: *mut gabion_session,
    tokens: *const u32,
    n_tokens: usize,
    options: *const gabion_generate_options,
    callback: gabion_piece_fn,
    user_data: *mut c_void,
    info: *mut gabion_generation_info,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, tokens) = unsafe { (handle(session, "session")?, slice(tokens, n_tokens, "tokens")?) };
        // SAFETY: the header's contract
        let options = unsafe { generate_options(options) }?;
        // SAFETY: the header's contract
        let tell = |value| if info.is_null() { Ok(GABION_OK) } else { unsafe { fill(info, "info", value) } };
        tell(gabion_generation_info::initial())?;
        let mut running = Running::start(&it.shared, tokens, &options)?;
        while let Some(piece) = running.next()? {
            // SAFETY: the callback's contract; the piece lives during the call
            if !callback.is_none_or(|call| unsafe { call(&piece, user_data) }) {
                break;
            }
        }
        tell(running.info())
    })
}
