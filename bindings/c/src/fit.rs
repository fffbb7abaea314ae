//! `gabion_fit`: what a model is and whether it fits a device, from its header alone.

use std::ffi::{CString, c_char};
use std::mem::{offset_of, size_of};

use gabion::gguf::Header;
use gabion::{Fit, FitOptions, KvType, Model, ModelOptions, Result, SessionOptions};

use crate::input::{Versioned, bytes, handle, options, slice};
use crate::model::{GABION_GELU_DEFAULT, file_path, gelu_form};
use crate::output::{create, destroy, fill, fill_sized};
use crate::runtime::gabion_runtime;
use crate::session::{GABION_KV_DEFAULT, GABION_KV_F16, GABION_KV_F32, GABION_KV_Q4_0, GABION_KV_Q8_0, kv_type};
use crate::status::{c_string, gabion_status, guard, guard_free};

/// What a model file holds, and what loading it and one session would take on a device. Nothing of it is loaded.
///
/// Threads: immutable; any number of threads may use it at once.
pub struct gabion_fit {
    fit: Fit,
    architecture: CString,
    name: CString,
    tokenizer: CString,
    problem: CString,
}

/// How the model would be loaded and used.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_fit_options {
    /// sizeof(gabion_fit_options)
    pub struct_size: usize,
    /// As in gabion_model_options.
    pub exact: u32,
    /// As in gabion_session_options.
    pub kv_type: i32,
    /// As in gabion_session_options.
    pub n_ctx: usize,
    /// As in gabion_session_options.
    pub n_batch: usize,
    /// Bytes that it may take; 0 for what the device says it has: Linux what is free, Vulkan all of a GPU's.
    pub memory_limit: u64,
    /// As in gabion_model_options.
    pub gelu: i32,
}

// SAFETY: repr(C), begins with its size, only integers
unsafe impl Versioned for gabion_fit_options {
    const FIRST_SIZE: usize = offset_of!(Self, memory_limit) + size_of::<u64>();
    fn initial() -> Self {
        let struct_size = size_of::<Self>();
        Self {
            struct_size,
            exact: 0,
            kv_type: GABION_KV_DEFAULT,
            n_ctx: 0,
            n_batch: 0,
            memory_limit: 0,
            gelu: GABION_GELU_DEFAULT,
        }
    }
}

/// What a model is and takes. The strings are NUL-terminated and live as long as the gabion_fit.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_fit_info {
    /// sizeof(gabion_fit_info); set it before the call.
    pub struct_size: usize,
    /// The family, e.g. "llama".
    pub architecture: *const c_char,
    /// The name its file gives it; may be "".
    pub name: *const c_char,
    /// The kind of its tokenizer, e.g. "gpt2"; "" if it has none.
    pub tokenizer: *const c_char,
    /// Why it does not fit; "" if it does.
    pub problem: *const c_char,
    /// Elements of all tensors.
    pub n_parameters: u64,
    /// Bytes of all tensors in the file.
    pub tensor_bytes: u64,
    /// Bits of the file per element.
    pub bits_per_weight: f64,
    /// The context length it was trained for, in tokens.
    pub n_ctx_train: usize,
    /// Tokens of its vocabulary.
    pub n_vocab: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Blocks.
    pub n_layer: usize,
    /// Bytes that its weights will take.
    pub weight_bytes: u64,
    /// Bytes of the session's cache.
    pub kv_bytes: u64,
    /// Bytes of the session's activations, logits and tables.
    pub scratch_bytes: u64,
    /// Bytes that it may take: the option's, or what the device says it has; 0 where it does not.
    pub memory_limit: u64,
    /// Most bytes of one buffer of the device; 0 where there is no such limit.
    pub buffer_limit: u64,
    /// Tokens of the session's context.
    pub n_ctx: usize,
    /// Most tokens computed at once.
    pub n_batch: usize,
    /// The longest context that fits, up to n_ctx_train or what was asked for; 0 if none does.
    pub max_n_ctx: usize,
    /// GABION_KV_*, of the session's cache.
    pub kv_type: i32,
    /// 1 if the file has a chat template, else 0.
    pub has_chat_template: u32,
    /// 1 if it fits, else 0.
    pub fits: u32,
}

// SAFETY: repr(C), begins with its size, only numbers and raw pointers
unsafe impl Versioned for gabion_fit_info {
    const FIRST_SIZE: usize = (offset_of!(Self, fits) + size_of::<u32>()).next_multiple_of(align_of::<Self>());
    fn initial() -> Self {
        // SAFETY: NULL and 0 are values of every field
        unsafe { std::mem::zeroed() }
    }
}

/// Writes the defaults into `options`, whose size is `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_fit_options_init(
    options: *mut gabion_fit_options,
    struct_size: usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill_sized(options, struct_size, "options", gabion_fit_options::initial()) })
}

/// Reads the header of the GGUF file at `path` (as gabion_model_open; of a split model all headers) and says what the model
/// would take on the runtime's device. `options` may be NULL. A model that this version cannot run is the error that loading
/// would give, whose text names what is missing; one that does not fit is no error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_fit_open(
    runtime: *const gabion_runtime,
    path: *const c_char,
    path_len: usize,
    options: *const gabion_fit_options,
    fit: *mut *mut gabion_fit,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let (runtime, path) = unsafe { (handle(runtime, "runtime")?, bytes(path, path_len, "path")?) };
        // SAFETY: the header's contract
        let options = unsafe { fit_options(options) }?;
        describe(runtime, &Model::read_header(&file_path(path)?)?, &options)
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(fit, make) })
}

/// The same from the first `len` bytes of a file at `data`: all of its header, and as much more as there is. So a header can
/// be fetched from anywhere; GABION_ERROR_GGUF whose text says how many bytes are needed asks for more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_fit_from_memory(
    runtime: *const gabion_runtime,
    data: *const u8,
    len: usize,
    options: *const gabion_fit_options,
    fit: *mut *mut gabion_fit,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let (runtime, data) = unsafe { (handle(runtime, "runtime")?, slice(data, len, "data")?) };
        // SAFETY: the header's contract
        let options = unsafe { fit_options(options) }?;
        describe(runtime, &Header::from_start(data)?, &options)
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(fit, make) })
}

/// # Safety
/// `ptr` is as the header says.
unsafe fn fit_options(ptr: *const gabion_fit_options) -> Result<FitOptions> {
    // SAFETY: passed on to the caller
    let given = unsafe { options(ptr, "options") }?;
    let model = ModelOptions { exact: given.exact != 0, gelu: gelu_form(given.gelu)? };
    let session = SessionOptions { n_ctx: given.n_ctx, n_batch: given.n_batch, kv: kv_type(given.kv_type)? };
    let memory = Some(given.memory_limit).filter(|&bytes| bytes > 0);
    Ok(FitOptions { model, session, memory })
}

fn describe(runtime: &gabion_runtime, header: &Header, options: &FitOptions) -> Result<gabion_fit> {
    let fit = runtime.runtime.fit(header, options)?;
    let text = |text: &str| c_string(text);
    let (architecture, name) = (text(&fit.info.architecture), text(&fit.info.name));
    let (tokenizer, problem) = (text(&fit.info.tokenizer), text(fit.problem.as_deref().unwrap_or_default()));
    Ok(gabion_fit { fit, architecture, name, tokenizer, problem })
}

/// Frees it. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_fit_free(fit: *mut gabion_fit) {
    // SAFETY: the header's contract
    guard_free(|| unsafe { destroy(fit) });
}

/// Says what the model is and takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_fit_get_info(fit: *const gabion_fit, info: *mut gabion_fit_info) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill(info, "info", view(handle(fit, "fit")?)) })
}

fn view(it: &gabion_fit) -> gabion_fit_info {
    let (fit, info) = (&it.fit, &it.fit.info);
    gabion_fit_info {
        struct_size: size_of::<gabion_fit_info>(),
        architecture: it.architecture.as_ptr(),
        name: it.name.as_ptr(),
        tokenizer: it.tokenizer.as_ptr(),
        problem: it.problem.as_ptr(),
        n_parameters: info.n_parameters,
        tensor_bytes: info.tensor_bytes,
        bits_per_weight: info.bits_per_weight,
        n_ctx_train: info.n_ctx_train,
        n_vocab: info.n_vocab,
        n_embd: info.n_embd,
        n_layer: info.n_layer,
        weight_bytes: fit.weight_bytes,
        kv_bytes: fit.kv_bytes,
        scratch_bytes: fit.scratch_bytes,
        memory_limit: fit.limits.memory.unwrap_or(0),
        buffer_limit: fit.limits.buffer.unwrap_or(0),
        n_ctx: fit.n_ctx,
        n_batch: fit.n_batch,
        max_n_ctx: fit.max_n_ctx,
        kv_type: match fit.kv {
            KvType::F16 => GABION_KV_F16,
            KvType::F32 => GABION_KV_F32,
            KvType::Q8_0 => GABION_KV_Q8_0,
            KvType::Q4_0 => GABION_KV_Q4_0,
        },
        has_chat_template: info.has_chat_template.into(),
        fits: fit.fits().into(),
    }
}
