//! `gabion_model`: an immutable model on a device, and what its file says about it.

use std::ffi::{CString, c_char, c_void};
use std::mem::{offset_of, size_of};
use std::path::PathBuf;
use std::ptr::null_mut;

use gabion::gguf::{BytesSource, Value};
use gabion::{Error, Gelu, Model, ModelOptions, Progress, Result};

use crate::input::{Versioned, bytes, handle, options, slice, text};
use crate::output::{copy_text, create, destroy, fill, fill_sized};
use crate::runtime::gabion_runtime;
use crate::status::{GABION_NOT_FOUND, c_string, gabion_status, guard, guard_free};

/// The form that the model's family defines.
pub const GABION_GELU_DEFAULT: i32 = 0;
/// The tanh approximation.
pub const GABION_GELU_TANH: i32 = 1;
/// The exact function.
pub const GABION_GELU_ERF: i32 = 2;

/// The form of a GABION_GELU_*.
pub(crate) fn gelu_form(number: i32) -> Result<Option<Gelu>> {
    Ok(Some(match number {
        GABION_GELU_DEFAULT => return Ok(None),
        GABION_GELU_TANH => Gelu::Tanh,
        GABION_GELU_ERF => Gelu::Erf,
        other => return Err(Error::InvalidArgument(format!("gelu {other} is not one of GABION_GELU_*"))),
    }))
}

/// A loaded model.
///
/// Threads: immutable; any number of threads may use it at once. Sessions keep what they need of it, so it may be freed
/// before them.
pub struct gabion_model {
    pub(crate) model: Model,
    architecture: CString,
    name: CString,
    description: CString,
}

/// Called while loading, on the thread that loads. Returns false to cancel: loading then ends with
/// GABION_ERROR_CANCELLED.
pub type gabion_progress_fn =
    Option<unsafe extern "C" fn(loaded_bytes: u64, total_bytes: u64, user_data: *mut c_void) -> bool>;

/// How to load a model.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_model_options {
    /// sizeof(gabion_model_options)
    pub struct_size: usize,
    /// Not 0: keep activations in float32 and default to a float32 cache. Slower, the same on every device.
    pub exact: u32,
    /// Called while loading; may be NULL.
    pub progress: gabion_progress_fn,
    /// Handed to `progress`.
    pub progress_user_data: *mut c_void,
    /// Which GELU to compute with: GABION_GELU_*. A file does not tell which one its model was trained with; the default is
    /// what the models of its family define. llama.cpp computes the tanh form for all: for its numbers, take that.
    pub gelu: i32,
}

// SAFETY: repr(C), begins with its size, only integers, raw pointers and a nullable function pointer
unsafe impl Versioned for gabion_model_options {
    const FIRST_SIZE: usize = offset_of!(Self, progress_user_data) + size_of::<*mut c_void>();
    fn initial() -> Self {
        let struct_size = size_of::<Self>();
        Self { struct_size, exact: 0, progress: None, progress_user_data: null_mut(), gelu: GABION_GELU_DEFAULT }
    }
}

/// What a model is. The strings are NUL-terminated and live as long as the model.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gabion_model_info {
    /// sizeof(gabion_model_info); set it before the call.
    pub struct_size: usize,
    /// The family, e.g. "llama".
    pub architecture: *const c_char,
    /// The name its file gives it; may be "".
    pub name: *const c_char,
    /// One line for people: name, family, layers and size.
    pub description: *const c_char,
    /// Size of the vocabulary: the number of logits.
    pub n_vocab: usize,
    /// The context length it was trained for, in tokens.
    pub n_ctx_train: usize,
    /// Width of the residual stream.
    pub n_embd: usize,
    /// Blocks.
    pub n_layer: usize,
    /// Bytes of weights on the device.
    pub weight_bytes: u64,
    /// 1 if the file has a tokenizer, else 0: then only token ids go in and come out.
    pub has_tokenizer: u32,
    /// 1 if the file has a chat template, else 0.
    pub has_chat_template: u32,
}

// SAFETY: repr(C), begins with its size, only integers and raw pointers
unsafe impl Versioned for gabion_model_info {
    const FIRST_SIZE: usize = offset_of!(Self, has_chat_template) + size_of::<u32>();
    fn initial() -> Self {
        // SAFETY: NULL and 0 are values of every field
        unsafe { std::mem::zeroed() }
    }
}

/// Writes the defaults into `options`, whose size is `struct_size`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_options_init(
    options: *mut gabion_model_options,
    struct_size: usize,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill_sized(options, struct_size, "options", gabion_model_options::initial()) })
}

/// Loads the GGUF file at `path` (UTF-8; on Unix any bytes); of a split model, the first file. `options` may be NULL. The
/// file must not be shortened while the model lives: it is mapped into memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_open(
    runtime: *const gabion_runtime,
    path: *const c_char,
    path_len: usize,
    options: *const gabion_model_options,
    model: *mut *mut gabion_model,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let (runtime, path) = unsafe { (handle(runtime, "runtime")?, bytes(path, path_len, "path")?) };
        let path = file_path(path)?;
        // SAFETY: the header's contract
        let (options, mut progress) = unsafe { load_options(options) }?;
        Ok(describe(Model::open(&path, &runtime.runtime, &options, &mut progress)?))
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(model, make) })
}

/// Loads a model from the `len` bytes of its whole file at `data`, which are copied. `options` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_from_memory(
    runtime: *const gabion_runtime,
    data: *const u8,
    len: usize,
    options: *const gabion_model_options,
    model: *mut *mut gabion_model,
) -> gabion_status {
    let make = || {
        // SAFETY: the header's contract
        let (runtime, data) = unsafe { (handle(runtime, "runtime")?, slice(data, len, "data")?) };
        // SAFETY: the header's contract
        let (options, mut progress) = unsafe { load_options(options) }?;
        let files = vec![BytesSource::new(data)];
        let load = Model::load(files, &runtime.runtime, &options, &mut progress);
        Ok(describe(pollster::block_on(load)?))
    };
    // SAFETY: the header's contract
    guard(|| unsafe { create(model, make) })
}

#[cfg(unix)]
pub(crate) fn file_path(bytes: &[u8]) -> Result<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
pub(crate) fn file_path(bytes: &[u8]) -> Result<PathBuf> {
    let text = std::str::from_utf8(bytes).map_err(|e| Error::InvalidArgument(format!("path is not UTF-8: {e}")))?;
    Ok(text.into())
}

/// # Safety
/// `ptr` is as the header says.
unsafe fn load_options(ptr: *const gabion_model_options) -> Result<(ModelOptions, impl FnMut(Progress) -> bool)> {
    // SAFETY: passed on to the caller
    let given = unsafe { options(ptr, "options") }?;
    let progress = move |at: Progress| {
        // SAFETY: the callback's contract
        given.progress.is_none_or(|call| unsafe { call(at.loaded, at.total, given.progress_user_data) })
    };
    Ok((ModelOptions { exact: given.exact != 0, gelu: gelu_form(given.gelu)? }, progress))
}

fn describe(model: Model) -> gabion_model {
    let spec = model.spec();
    let name = model.header().get("general.name").and_then(|value| value.as_str()).unwrap_or_default();
    let title = if name.is_empty() { "unnamed" } else { name };
    let mib = model.weight_bytes() as f64 / f64::from(1 << 20);
    let description = format!("{title} ({}, {} layers, {mib:.1} MiB)", spec.arch, spec.layers.len());
    let (architecture, name, description) = (c_string(&*spec.arch), c_string(name), c_string(description));
    gabion_model { model, architecture, name, description }
}

/// Frees a model. NULL is a no-op.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_free(model: *mut gabion_model) {
    // SAFETY: the header's contract
    guard_free(|| unsafe { destroy(model) });
}

/// Describes the model.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_get_info(
    model: *const gabion_model,
    info: *mut gabion_model_info,
) -> gabion_status {
    // SAFETY: the header's contract
    guard(|| unsafe { fill(info, "info", view(handle(model, "model")?)) })
}

fn view(it: &gabion_model) -> gabion_model_info {
    let spec = it.model.spec();
    gabion_model_info {
        struct_size: size_of::<gabion_model_info>(),
        architecture: it.architecture.as_ptr(),
        name: it.name.as_ptr(),
        description: it.description.as_ptr(),
        n_vocab: spec.n_vocab,
        n_ctx_train: spec.n_ctx_train,
        n_embd: spec.n_embd,
        n_layer: spec.layers.len(),
        weight_bytes: it.model.weight_bytes(),
        has_tokenizer: it.model.tokenizer().is_ok().into(),
        has_chat_template: it.model.has_chat_template().into(),
    }
}

/// The value of a key of the file as text: numbers and strings as they are, an array as its type and length. Copies up to
/// `capacity` bytes, NUL included, to `buffer`; see "Text out" above. GABION_NOT_FOUND if the file has no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_metadata(
    model: *const gabion_model,
    key: *const c_char,
    key_len: usize,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let (it, key) = unsafe { (handle(model, "model")?, text(key, key_len, "key")?) };
        let Some(value) = it.model.header().get(key) else { return Ok(GABION_NOT_FOUND) };
        // SAFETY: the header's contract
        unsafe { copy_text(&value_text(value), buffer, capacity, len) }
    })
}

/// The key at `index`, counted from 0 in the order of the file. Text out as for gabion_model_metadata. GABION_NOT_FOUND
/// behind the last one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gabion_model_metadata_key(
    model: *const gabion_model,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    len: *mut usize,
) -> gabion_status {
    guard(|| {
        // SAFETY: the header's contract
        let it = unsafe { handle(model, "model") }?;
        let Some((key, _)) = it.model.header().entries().nth(index) else { return Ok(GABION_NOT_FOUND) };
        // SAFETY: the header's contract
        unsafe { copy_text(key, buffer, capacity, len) }
    })
}

fn value_text(value: Value<'_>) -> String {
    match value {
        Value::U8(v) => v.to_string(),
        Value::I8(v) => v.to_string(),
        Value::U16(v) => v.to_string(),
        Value::I16(v) => v.to_string(),
        Value::U32(v) => v.to_string(),
        Value::I32(v) => v.to_string(),
        Value::U64(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::F32(v) => v.to_string(),
        Value::F64(v) => v.to_string(),
        Value::Bool(v) => v.to_string(),
        Value::String(v) => String::from_utf8_lossy(v).into_owned(),
        Value::Array(v) => format!("{v:?}"),
    }
}
