//! Test: hostile files through the exports. They give the status of the error, its text and a NULL handle; never a panic
//! that the guard had to catch.

use std::ffi::CStr;
use std::ptr::{null, null_mut};

use crate::model::{gabion_model, gabion_model_free, gabion_model_from_memory};
use crate::runtime::{gabion_runtime, gabion_runtime_free, gabion_runtime_new, gabion_runtime_options};
use crate::session::{gabion_session, gabion_session_free, gabion_session_new, gabion_session_score};
use crate::status::{GABION_OK, gabion_last_error};
use gabion_tests::alloc::{Counting, peak};
use gabion_tests::hostile::{Case, headers, models};
use gabion_tests::toy;

#[global_allocator]
static ALLOC: Counting = Counting;

/// As in hostile_model.rs, and the copy that the ABI makes of the file.
const FACTOR: usize = 25;
const CONSTANT: usize = 8 << 20;

struct Runtime(*mut gabion_runtime);

impl Runtime {
    fn cpu() -> Self {
        let mut runtime = null_mut();
        let options = gabion_runtime_options {
            struct_size: size_of::<gabion_runtime_options>(),
            device: c"cpu".as_ptr(),
            device_len: 3,
            threads: 1,
            level: std::ptr::null(),
            level_len: 0,
        };
        // SAFETY: the options and the place for the handle live during the call
        assert_eq!(unsafe { gabion_runtime_new(&options, &mut runtime) }, GABION_OK);
        Self(runtime)
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // SAFETY: the handle came from `gabion_runtime_new` and is freed once
        unsafe { gabion_runtime_free(self.0) };
    }
}

fn last_error() -> String {
    // SAFETY: the text is valid until this thread's next failing call
    unsafe { CStr::from_ptr(gabion_last_error()) }.to_str().expect("UTF-8").to_owned()
}

fn load(runtime: &Runtime, bytes: &[u8]) -> (i32, *mut gabion_model) {
    let mut model = null_mut();
    // SAFETY: a live runtime, `len` readable bytes, default options, a place for the handle
    let status = unsafe { gabion_model_from_memory(runtime.0, bytes.as_ptr(), bytes.len(), null(), &mut model) };
    (status, model)
}

/// Runs a loaded model once and frees it; its numbers may be nonsense.
fn use_up(model: *mut gabion_model) {
    let mut session: *mut gabion_session = null_mut();
    // SAFETY: live handles, each freed once; buffers of the sizes given
    unsafe {
        if gabion_session_new(model, null(), &mut session) == GABION_OK {
            let (ids, mut nll) = ([0u32, 1, 0], [0f32; 2]);
            gabion_session_score(session, ids.as_ptr(), ids.len(), nll.as_mut_ptr(), nll.len());
        }
        gabion_session_free(session);
        gabion_model_free(model);
    }
}

/// The status that `gabion::Error` has for a variant.
fn status(variant: &str) -> i32 {
    match variant {
        "" => GABION_OK,
        "Gguf" => crate::status::GABION_ERROR_GGUF,
        "Unsupported" => crate::status::GABION_ERROR_UNSUPPORTED,
        "Model" => crate::status::GABION_ERROR_MODEL,
        "Tokenizer" => crate::status::GABION_ERROR_TOKENIZER,
        other => panic!("no status for {other}"),
    }
}

fn check(runtime: &Runtime, case: &Case, wanted: i32) {
    let (used, (status, model)) = peak(|| load(runtime, &case.bytes));
    assert_eq!(status, wanted, "{}: {}", case.name, last_error());
    assert!(used <= FACTOR * case.bytes.len() + CONSTANT, "{}: {used} bytes", case.name);
    if status == GABION_OK {
        return use_up(model);
    }
    assert!(model.is_null(), "{}: a handle beside an error", case.name);
    let text = last_error();
    assert!(!text.is_empty() && text.contains(case.says), "{}: '{text}' lacks '{}'", case.name, case.says);
}

#[test]
fn malformed_headers() {
    let runtime = Runtime::cpu();
    for case in headers() {
        let sound = case.error.is_empty(); // a header without a model
        check(
            &runtime,
            &case,
            if sound { crate::status::GABION_ERROR_MODEL } else { crate::status::GABION_ERROR_GGUF },
        );
    }
}

#[test]
fn impossible_models() {
    let runtime = Runtime::cpu();
    for case in models() {
        check(&runtime, &case, status(case.error));
    }
}

#[test]
fn truncations_and_changed_bytes() {
    let runtime = Runtime::cpu();
    let bytes = toy::llama().bytes();
    for len in (0..bytes.len() - 32).step_by(501) {
        let (status, model) = load(&runtime, &bytes[..len]);
        assert_eq!((status, model.is_null()), (crate::status::GABION_ERROR_GGUF, true), "{len}: {}", last_error());
    }
    for at in 0..6000 {
        let mut changed = bytes.clone();
        changed[at] ^= 0xff;
        let (status, model) = load(&runtime, &changed);
        assert_ne!(status, crate::status::GABION_ERROR_INTERNAL, "byte {at}: {}", last_error());
        assert_eq!(status == GABION_OK, !model.is_null(), "byte {at}");
        use_up(model);
    }
}

#[test]
fn no_file_at_all() {
    let runtime = Runtime::cpu();
    let mut model = null_mut();
    // SAFETY: NULL with length 0 is an empty file; NULL with a length is documented as an error
    let statuses = unsafe {
        [
            gabion_model_from_memory(runtime.0, null(), 0, null(), &mut model),
            gabion_model_from_memory(runtime.0, null(), 10, null(), &mut model),
            gabion_model_from_memory(null(), b"GGUF".as_ptr(), 4, null(), &mut model),
            gabion_model_from_memory(runtime.0, b"GGUF".as_ptr(), 4, null(), null_mut()),
        ]
    };
    assert!(
        statuses.iter().all(|&status| status < 0 && status != crate::status::GABION_ERROR_INTERNAL),
        "{statuses:?}"
    );
    assert!(model.is_null());
}
