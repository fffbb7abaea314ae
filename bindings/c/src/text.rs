//! Text in and out of a model: tokenizing, detokenizing, conversations.

use std::ffi::c_char;
use std::mem::{offset_of, size_of};
use std::ptr::null;

use gabion::{ChatOptions, Error, Message, Result};

use crate::input::{Versioned, handle, option_list, options, slice, text};
use crate::model::gabion_model;
use crate::output::{copy, copy_text, fill_sized};
use crate::status::{gabion_status, guard};

/// One message of a conversation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_message {
    /// sizeof(gabion_message); the same in all elements of an array.
    pub struct_size: usize,
    /// "system", "user", "assistant", or what else the model's template knows.
    pub role: *const c_char,
    /// Bytes of `role`, or GABION_NUL_TERMINATED.
    pub role_len: usize,
    /// The text.
    pub content: *const c_char,
    /// Bytes of `content`, or GABION_NUL_TERMINATED.
    pub content_len: usize,
}

// SAFETY: repr(C), begins with its size, only integers and raw pointers
unsafe impl Versioned for gabion_message {
    const FIRST_SIZE: usize = offset_of!(Self, content_len) + size_of::<usize>();
    fn initial() -> Self {
        Self { struct_size: size_of::<Self>(), role: null(), role_len: 0, content: null(), content_len: 0 }
    }
}

/// How to turn a conversation into tokens.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_chat_options {
    /// sizeof(gabion_chat_options)
    pub struct_size: usize,
    /// Not 0 (the default): end with the start of the assistant's turn, ready to generate it.
    pub add_generation_prompt: u32,
}

// SAFETY: repr(C), begins with its size, only integers
unsafe impl Versioned for gabion_chat_options {
    const FIRST_SIZE: usize = offset_of!(Self, add_generation_prompt) + size_of::<u32>();
    fn initial() -> Self {
        Self { struct_size: size_of::<Self>(), add_generation_prompt: 1 }
    }
}

/// Writes the defaults into `options`, whose size is `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_chat_options_init(
    options: *mut gabion_chat_options,
    struct_size: usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill_sized(options, struct_size, "options", gabion_chat_options::initial()) })
}

/// Turns text into token ids. `add_special` adds the tokens that the model wants at the ends of a text. `parse_special`
/// turns text such as "<|im_end|>" into control tokens: never set it for text from users. Copies up to `capacity` ids to
/// `tokens`; see "Text out" above.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_tokenize(
    model: *const gabion_model,
    text_data: *const c_char,
    text_len: usize,
    add_special: bool,
    parse_special: bool,
    tokens: *mut u32,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, text) = unsafe { (handle(model, "model")?, text(text_data, text_len, "text")?) };
        let ids = it.model.tokenize(text, add_special, parse_special)?;
        // SAFETY: the header's contract
        unsafe { copy(&ids, tokens, capacity, len) }
    })
}

/// Turns token ids into text; what is not UTF-8 becomes U+FFFD. `special` shows control tokens. Text out as for
/// gabion_model_metadata.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_detokenize(
    model: *const gabion_model,
    tokens: *const u32,
    n_tokens: usize,
    special: bool,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, ids) = unsafe { (handle(model, "model")?, slice(tokens, n_tokens, "tokens")?) };
        let text = it.model.detokenize(ids, special)?;
        // SAFETY: the header's contract
        unsafe { copy_text(&text, buffer, capacity, len) }
    })
}

/// Turns a conversation into token ids through the model's own chat template; text in messages cannot forge control
/// tokens. `options` may be NULL. Ids out as for gabion_model_tokenize.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_chat_tokens(
    model: *const gabion_model,
    messages: *const gabion_message,
    n_messages: usize,
    options: *const gabion_chat_options,
    tokens: *mut u32,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, messages, options) =
            unsafe { (handle(model, "model")?, read_messages(messages, n_messages)?, chat_options(options)?) };
        let ids = it.model.chat_tokens(&messages, &options)?;
        // SAFETY: the header's contract
        unsafe { copy(&ids, tokens, capacity, len) }
    })
}

/// # Safety
/// The array is as the header says.
unsafe fn read_messages(messages: *const gabion_message, len: usize) -> Result<Vec<Message>> {
    let read = |given: &gabion_message| {
        // SAFETY: passed on to the caller
        let (role, content) =
            unsafe { (text(given.role, given.role_len, "role")?, text(given.content, given.content_len, "content")?) };
        Ok(Message { role: role.to_owned(), content: content.to_owned() })
    };
    // SAFETY: passed on to the caller
    unsafe { option_list(messages, len, "messages") }?.iter().map(read).collect()
}

/// # Safety
/// `ptr` is as the header says.
unsafe fn chat_options(ptr: *const gabion_chat_options) -> Result<ChatOptions> {
    // SAFETY: passed on to the caller
    let given = unsafe { options(ptr, "options") }?;
    Ok(ChatOptions { add_generation_prompt: given.add_generation_prompt != 0, ..Default::default() })
}

/// What one token prints as, control tokens included; U+FFFD for parts of a character. Text out as for gabion_model_metadata.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_token_text(
    model: *const gabion_model,
    token: u32,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let it = unsafe { handle(model, "model") }?;
        check_token(it, token)?;
        let text = String::from_utf8_lossy(it.model.tokenizer()?.token_bytes(token, true));
        // SAFETY: the header's contract
        unsafe { copy_text(&text, buffer, capacity, len) }
    })
}

/// Whether a token ends generation. False for tokens that do not exist and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_is_eog(model: *const gabion_model, token: u32) -> bool {
    let mut ends = false;
    guard(|| {
        // SAFETY: the header's contract
        let it = unsafe { handle(model, "model") }?;
        ends = it.model.tokenizer()?.is_eog(token);
        Ok(0)
    });
    ends
}

fn check_token(it: &gabion_model, token: u32) -> Result<()> {
    let n_vocab = it.model.n_vocab();
    let fine = (token as usize) < n_vocab;
    if fine {
        Ok(())
    } else {
        Err(Error::InvalidArgument(format!("token id {token} is outside the vocabulary of {n_vocab}")))
    }
}
