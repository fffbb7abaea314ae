//! `gabion_embedder`: whole texts through an encoder: vectors, scores, masked words.

use std::ffi::{CString, c_char};
use std::mem::{offset_of, size_of};
use std::ptr::null;
use std::sync::{Mutex, TryLockError};

use gabion::{CancelFlag, Embedder, EmbedderOptions, Error, Pooling, Result, Task, TextKind};

use crate::generate::{gabion_string, strings};
use crate::input::{Versioned, handle, options, slice, text};
use crate::model::gabion_model;
use crate::output::{Out, copy, copy_text, create, destroy, fill, fill_sized};
use crate::status::{GABION_NOT_FOUND, GABION_OK, GABION_TRUNCATED, c_string, gabion_status, guard, guard_free};

/// What the file says, or else the mean.
pub const GABION_POOLING_DEFAULT: i32 = 0;
/// Every token's state, one after another.
pub const GABION_POOLING_NONE: i32 = 1;
/// The mean of all tokens' states.
pub const GABION_POOLING_MEAN: i32 = 2;
/// The first token's state.
pub const GABION_POOLING_CLS: i32 = 3;
/// The last token's state.
pub const GABION_POOLING_LAST: i32 = 4;

/// A text without a prefix.
pub const GABION_TEXT_PLAIN: i32 = 0;
/// What is searched for: with the options' query_prefix.
pub const GABION_TEXT_QUERY: i32 = 1;
/// What is searched: with the options' document_prefix.
pub const GABION_TEXT_DOCUMENT: i32 = 2;

/// The model's outputs are tokens' states, of which vectors are made.
pub const GABION_TASK_EMBED: i32 = 1;
/// They are scores of texts or of pairs, one for each label.
pub const GABION_TASK_SCORE: i32 = 2;
/// They are logits of masked tokens.
pub const GABION_TASK_FILL: i32 = 3;

/// Runs whole texts, several in one pass. It keeps what it needs of the model.
///
/// Threads: one at a time, any thread. A call that comes while another one runs does nothing and returns GABION_ERROR_BUSY.
/// gabion_embedder_cancel may be called at any time from any thread. Freeing it while another thread uses it is an error that
/// cannot be detected.
pub struct gabion_embedder {
    embedder: Mutex<Embedder>,
    cancel: CancelFlag,
    labels: Vec<CString>,
}

impl gabion_embedder {
    /// Runs `body` on the embedder if nobody else has it.
    fn with<T>(&self, body: impl FnOnce(&mut Embedder) -> Result<T>) -> Result<T> {
        match self.embedder.try_lock() {
            Ok(mut embedder) => body(&mut embedder),
            Err(TryLockError::WouldBlock) => Err(Error::Busy("another call is using this embedder".into())),
            Err(TryLockError::Poisoned(_)) => {
                Err(Error::Internal("this embedder failed internally before; free it and make a new one".into()))
            }
        }
    }
}

/// What an embedder makes of texts.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_embedder_options {
    /// sizeof(gabion_embedder_options)
    pub struct_size: usize,
    /// Tokens of the longest text; 0 for the smaller of 512 and what the model was trained for.
    pub max_tokens: usize,
    /// Tokens that go through the model at once, of as many texts as fit; 0 for what the device prefers. At least max_tokens.
    pub batch_tokens: usize,
    /// Elements of a vector to keep, from the first on (models trained by Matryoshka losses allow it); 0 for all.
    pub dimensions: usize,
    /// How tokens' states become a vector: GABION_POOLING_*.
    pub pooling: i32,
    /// Not 0 (the default): vectors have length 1.
    pub normalize: u32,
    /// Not 0: longer texts are cut, but for their last token (of a pair, its second text). 0, the default: they are
    /// GABION_ERROR_CONTEXT_FULL.
    pub truncate: u32,
    /// Put before texts of GABION_TEXT_QUERY, as the model's makers ask for; NULL for nothing. Copied.
    pub query_prefix: *const c_char,
    /// Bytes of `query_prefix`, or GABION_NUL_TERMINATED.
    pub query_prefix_len: usize,
    /// Put before texts of GABION_TEXT_DOCUMENT; NULL for nothing. Copied.
    pub document_prefix: *const c_char,
    /// Bytes of `document_prefix`, or GABION_NUL_TERMINATED.
    pub document_prefix_len: usize,
}

// SAFETY: repr(C), begins with its size, only integers and raw pointers
unsafe impl Versioned for gabion_embedder_options {
    const FIRST_SIZE: usize = offset_of!(Self, document_prefix_len) + size_of::<usize>();
    fn initial() -> Self {
        Self {
            struct_size: size_of::<Self>(),
            max_tokens: 0,
            batch_tokens: 0,
            dimensions: 0,
            pooling: GABION_POOLING_DEFAULT,
            normalize: 1,
            truncate: 0,
            query_prefix: null(),
            query_prefix_len: 0,
            document_prefix: null(),
            document_prefix_len: 0,
        }
    }
}

/// What an embedder is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_embedder_info {
    /// sizeof(gabion_embedder_info); set it before the call.
    pub struct_size: usize,
    /// Tokens of the longest text.
    pub max_tokens: usize,
    /// Most tokens that go through the model at once.
    pub batch_tokens: usize,
    /// Elements of a vector; with GABION_POOLING_NONE, of each token's.
    pub dimensions: usize,
    /// Scores of a text; 0 where the model gives none.
    pub n_scores: usize,
    /// Bytes of activations and tables on the device.
    pub bytes: u64,
    /// What the model is for: GABION_TASK_*.
    pub task: i32,
    /// GABION_POOLING_*, of vectors.
    pub pooling: i32,
}

// SAFETY: repr(C), begins with its size, only integers
unsafe impl Versioned for gabion_embedder_info {
    const FIRST_SIZE: usize = offset_of!(Self, pooling) + size_of::<i32>();
    fn initial() -> Self {
        // SAFETY: 0 is a value of every field
        unsafe { std::mem::zeroed() }
    }
}

/// A guess at a masked token.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_guess {
    /// Which mask of the text, from 0.
    pub mask: u32,
    /// The token; gabion_model_token_text has its text.
    pub token: u32,
    /// Its probability.
    pub probability: f32,
}

/// Writes the defaults into `options`, whose size is `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_options_init(
    options: *mut gabion_embedder_options,
    struct_size: usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill_sized(options, struct_size, "options", gabion_embedder_options::initial()) })
}

/// Makes an embedder of a model that is no generator: an encoder, a reranker, or a decoder whose file names a pooling.
/// `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_new(
    model: *const gabion_model,
    options: *const gabion_embedder_options,
    embedder: *mut *mut gabion_embedder,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let (it, options) = unsafe { (handle(model, "model")?, embedder_options(options)?) };
        let embedder = it.model.embedder(&options)?;
        let labels = embedder.labels().iter().map(|label| c_string(label.as_str())).collect();
        let cancel = embedder.cancel_flag();
        Ok(gabion_embedder { embedder: Mutex::new(embedder), cancel, labels })
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(embedder, make) })
}

/// # Safety
/// `ptr` is as the header says.
unsafe fn embedder_options(ptr: *const gabion_embedder_options) -> Result<EmbedderOptions> {
    // SAFETY: passed on to the caller
    let given = unsafe { options(ptr, "options") }?;
    // SAFETY: passed on to the caller
    let prefix = |data: *const c_char, len, what| match data.is_null() {
        true => Ok(String::new()),
        // SAFETY: passed on to the caller
        false => unsafe { text(data, len, what) }.map(str::to_owned),
    };
    Ok(EmbedderOptions {
        max_tokens: given.max_tokens,
        batch_tokens: given.batch_tokens,
        pooling: pooling(given.pooling)?,
        normalize: given.normalize != 0,
        dimensions: given.dimensions,
        truncate: given.truncate != 0,
        query_prefix: prefix(given.query_prefix, given.query_prefix_len, "query_prefix")?,
        document_prefix: prefix(given.document_prefix, given.document_prefix_len, "document_prefix")?,
    })
}

fn pooling(number: i32) -> Result<Option<Pooling>> {
    Ok(Some(match number {
        GABION_POOLING_DEFAULT => return Ok(None),
        GABION_POOLING_NONE => Pooling::None,
        GABION_POOLING_MEAN => Pooling::Mean,
        GABION_POOLING_CLS => Pooling::First,
        GABION_POOLING_LAST => Pooling::Last,
        other => return Err(Error::InvalidArgument(format!("pooling {other} is not one of GABION_POOLING_*"))),
    }))
}

fn text_kind(number: i32) -> Result<TextKind> {
    match number {
        GABION_TEXT_PLAIN => Ok(TextKind::Plain),
        GABION_TEXT_QUERY => Ok(TextKind::Query),
        GABION_TEXT_DOCUMENT => Ok(TextKind::Document),
        other => Err(Error::InvalidArgument(format!("kind {other} is not one of GABION_TEXT_*"))),
    }
}

/// Frees an embedder. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_free(embedder: *mut gabion_embedder) {
    // SAFETY: the header's contract
    guard_free(|| unsafe { destroy(embedder) });
}

/// Stops the running call, which returns GABION_ERROR_CANCELLED soon. A request that comes when nothing runs is dropped by the
/// next call. May be called from any thread and from a signal handler: it only sets a flag. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_cancel(embedder: *const gabion_embedder) {
    // no guard: nothing here can panic, and a signal handler must not touch thread-locals
    if !embedder.is_null() {
        // SAFETY: not NULL, and alive by the header's contract; only an atomic flag is touched
        unsafe { &*embedder }.cancel.cancel();
    }
}

/// Says what the embedder is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_get_info(
    embedder: *const gabion_embedder,
    info: *mut gabion_embedder_info,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let view = unsafe { handle(embedder, "embedder") }?.with(|embedder| Ok(view(embedder)))?;
        // SAFETY: the header's contract
        unsafe { fill(info, "info", view) }
    })
}

fn view(embedder: &Embedder) -> gabion_embedder_info {
    gabion_embedder_info {
        struct_size: size_of::<gabion_embedder_info>(),
        max_tokens: embedder.max_tokens(),
        batch_tokens: embedder.options().batch_tokens,
        dimensions: embedder.dimensions(),
        n_scores: embedder.scores(),
        bytes: embedder.bytes(),
        task: match embedder.task() {
            Task::Score => GABION_TASK_SCORE,
            Task::Fill => GABION_TASK_FILL,
            Task::Embed | Task::Generate => GABION_TASK_EMBED,
        },
        pooling: match embedder.pooling() {
            Pooling::None => GABION_POOLING_NONE,
            Pooling::Mean => GABION_POOLING_MEAN,
            Pooling::First => GABION_POOLING_CLS,
            Pooling::Last => GABION_POOLING_LAST,
        },
    }
}

/// The name of a classifier's score `i`; GABION_NOT_FOUND where the file names none. Text out as for gabion_model_metadata.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_label(
    embedder: *const gabion_embedder,
    i: usize,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let it = unsafe { handle(embedder, "embedder") }?;
        let Some(label) = it.labels.get(i) else { return Ok(GABION_NOT_FOUND) };
        // SAFETY: the header's contract
        unsafe { copy_text(&label.to_string_lossy(), buffer, capacity, len) }
    })
}

/// Makes a vector of each of `n_texts` texts, at least one: float32, `dimensions` of each one after another, in the texts'
/// order; with GABION_POOLING_NONE as many of each token. `kind` is one of GABION_TEXT_*. `capacity` is the room at `vectors` in
/// elements; where it is too small for what is known beforehand (that is, not with GABION_POOLING_NONE), or `vectors` is NULL,
/// nothing is computed, and `*len` says how much is needed. Arrays out as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_embed(
    embedder: *mut gabion_embedder,
    texts: *const gabion_string,
    n_texts: usize,
    kind: i32,
    vectors: *mut f32,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, texts) = unsafe { (handle(embedder, "embedder")?, strings(texts, n_texts, "texts")?) };
        let kind = text_kind(kind)?;
        it.with(|embedder| {
            if embedder.pooling() != Pooling::None {
                let needed = n_texts.saturating_mul(embedder.dimensions());
                // SAFETY: the header's contract
                if let Some(status) = unsafe { lacks(vectors, capacity, needed, len) }? {
                    return Ok(status);
                }
            }
            let made = embedder.embed(&texts, kind)?.concat();
            // SAFETY: the header's contract
            unsafe { copy(&made, vectors, capacity, len) }
        })
    })
}

/// What to return before anything is computed, where the caller's buffer has no room for `needed` elements.
///
/// # Safety
/// `len` is NULL or can be written.
unsafe fn lacks(buffer: *const f32, capacity: usize, needed: usize, len: *mut usize) -> Result<Option<gabion_status>> {
    if !buffer.is_null() && capacity >= needed {
        return Ok(None);
    }
    // SAFETY: passed on to the caller
    if let Some(len) = unsafe { Out::optional(len, "len") }? {
        len.set(needed);
    }
    Ok(Some(if buffer.is_null() { GABION_OK } else { GABION_TRUNCATED }))
}

/// As gabion_embedder_embed for one text that is given as tokens, special ones included.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_embed_tokens(
    embedder: *mut gabion_embedder,
    tokens: *const u32,
    n_tokens: usize,
    vector: *mut f32,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, tokens) = unsafe { (handle(embedder, "embedder")?, slice(tokens, n_tokens, "tokens")?) };
        let made = it.with(|embedder| embedder.embed_tokens(&[tokens]))?.concat();
        // SAFETY: the header's contract
        unsafe { copy(&made, vector, capacity, len) }
    })
}

/// Says how well each of `n_documents` documents answers the query: `scores[i]`, of which there must be room for n_documents, is
/// the model's number for document i; higher is better. It is a logit, or of a model that says yes or no (Qwen3-Reranker) the
/// probability of yes. A classifier of several labels is GABION_ERROR_UNSUPPORTED: gabion_embedder_classify has its scores.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_rerank(
    embedder: *mut gabion_embedder,
    query: *const c_char,
    query_len: usize,
    documents: *const gabion_string,
    n_documents: usize,
    scores: *mut f32,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, query) = unsafe { (handle(embedder, "embedder")?, text(query, query_len, "query")?) };
        // SAFETY: the header's contract
        let documents = unsafe { strings(documents, n_documents, "documents") }?;
        // SAFETY: the header's contract
        unsafe { Out::new(scores, "scores") }?;
        let made = it.with(|embedder| embedder.rerank(query, &documents))?;
        // SAFETY: the header's contract
        unsafe { copy(&made, scores, n_documents, std::ptr::null_mut()) }
    })
}

/// Says what a classifier makes of each of `n_texts` texts, or of each pair where `seconds` is not NULL: n_scores logits of each,
/// one after another. Room and length as for gabion_embedder_embed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_classify(
    embedder: *mut gabion_embedder,
    texts: *const gabion_string,
    seconds: *const gabion_string,
    n_texts: usize,
    scores: *mut f32,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, texts) = unsafe { (handle(embedder, "embedder")?, strings(texts, n_texts, "texts")?) };
        let seconds = match seconds.is_null() {
            true => Vec::new(),
            // SAFETY: the header's contract
            false => unsafe { strings(seconds, n_texts, "seconds") }?,
        };
        let pairs: Vec<_> = texts.iter().enumerate().map(|(i, &text)| (text, seconds.get(i).copied())).collect();
        it.with(|embedder| {
            let needed = n_texts.saturating_mul(embedder.scores());
            // SAFETY: the header's contract
            if let Some(status) = unsafe { lacks(scores, capacity, needed, len) }?.filter(|_| needed > 0) {
                return Ok(status);
            }
            let made = embedder.classify(&pairs)?.concat();
            // SAFETY: the header's contract
            unsafe { copy(&made, scores, capacity, len) }
        })
    })
}

/// Guesses the tokens that a text has as masks (`[MASK]`): of each mask the `top` likeliest, best first, mask after mask. Arrays
/// out as above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_embedder_fill_mask(
    embedder: *mut gabion_embedder,
    text_data: *const c_char,
    text_len: usize,
    top: usize,
    guesses: *mut gabion_guess,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, text) = unsafe { (handle(embedder, "embedder")?, text(text_data, text_len, "text")?) };
        let masks = it.with(|embedder| embedder.fill_mask(text, top))?;
        let guess =
            |(mask, it): (u32, &gabion::Filled)| gabion_guess { mask, token: it.token, probability: it.probability };
        let all: Vec<_> = (0..).zip(&masks).flat_map(|(i, all)| all.iter().map(move |it| (i, it))).map(guess).collect();
        // SAFETY: the header's contract
        unsafe { copy(&all, guesses, capacity, len) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::GABION_ERROR_INTERNAL;

    fn embedder() -> gabion_embedder {
        let options = gabion::RuntimeOptions { device: "cpu".into(), threads: Some(1), level: None };
        let runtime = gabion::Runtime::new(&options).unwrap();
        let model = gabion_tests::toy::bert().load(&runtime, &gabion::ModelOptions::default()).unwrap();
        let embedder = model.embedder(&EmbedderOptions::default()).unwrap();
        gabion_embedder { cancel: embedder.cancel_flag(), embedder: Mutex::new(embedder), labels: Vec::new() }
    }

    #[test]
    fn a_panic_in_a_call_breaks_the_embedder_for_good() {
        let it = embedder();
        it.with(|embedder| embedder.embed(&["a"], TextKind::Plain)).unwrap();
        assert_eq!(guard(|| it.with(|_| panic!("expected by this test"))), GABION_ERROR_INTERNAL);
        for _ in 0..2 {
            assert_eq!(it.with(|_| Ok(())).unwrap_err().code(), GABION_ERROR_INTERNAL);
        }
    }

    #[test]
    fn a_second_caller_is_told_to_wait() {
        let it = embedder();
        let second = it.with(|_| Ok(it.with(|_| Ok(())))).unwrap();
        assert!(matches!(second, Err(Error::Busy(_))));
    }
}
