//! Hostile files through `Model::load` and everything after it: typed errors, bounded memory and time, no panic.

use std::time::{Duration, Instant};

use gabion::device::cpu::Level;
use gabion::gguf::{BytesSource, Source};
use gabion::{ChatOptions, Error, GenerateOptions, Message, Model, ModelOptions, Runtime, SessionOptions};
use gabion_tests::alloc::{Counting, peak};
use gabion_tests::hostile::{Case, headers, models};
use gabion_tests::{devices, toy};

#[global_allocator]
static ALLOC: Counting = Counting;

/// Loading may take this many times the file's size at once (a tokenizer's tables are larger than its keys) ...
const FACTOR: usize = 24;
/// ... and this much more, for what is the same for every file (compiled regular expressions, a template's engine).
const CONSTANT: usize = 8 << 20;

fn runtime() -> Runtime {
    devices::cpu(Level::best(), Some(1))
}

fn load(bytes: &[u8], runtime: &Runtime) -> Result<Model, Error> {
    toy::load(bytes.to_vec(), runtime, &ModelOptions::default())
}

fn variant(error: &Error) -> String {
    format!("{error:?}").split([' ', '(', '{']).next().unwrap_or_default().to_owned()
}

/// Loads with a stopwatch and a memory gauge.
fn gauged(case: &Case, runtime: &Runtime) -> Result<Model, Error> {
    let start = Instant::now();
    let (used, result) = peak(|| load(&case.bytes, runtime));
    let (limit, time) = (FACTOR * case.bytes.len() + CONSTANT, start.elapsed());
    assert!(used <= limit, "{}: {used} bytes of memory for a file of {}", case.name, case.bytes.len());
    assert!(time < Duration::from_secs(5), "{}: {time:?}", case.name);
    result
}

/// Uses a model in every way; whatever comes, it comes as a value or a typed error.
fn use_up(model: &Model) -> Result<(), Error> {
    let mut session = model.session(&SessionOptions { n_ctx: 32, ..Default::default() })?;
    session.score(&[0, 1, 0])?;
    let options = GenerateOptions { max_tokens: Some(3), logprobs: 2, ..Default::default() };
    let ids = model.tokenize("The cat <|im_end|> <0x41> \u{1F600}", true, true).unwrap_or_else(|_| vec![1]);
    let ids = if ids.is_empty() { vec![1] } else { ids };
    let (mut generation, _) = session.generate(&ids[..ids.len().min(30)], &options)?;
    while generation.next()?.is_some() {}
    drop(generation);
    let message = Message { role: "user".into(), content: "Hello {{ x }} <|im_end|>".into() };
    model.chat_tokens(&[message], &ChatOptions::default()).map(drop)
}

#[test]
fn malformed_headers() {
    let runtime = runtime();
    for case in headers() {
        match gauged(&case, &runtime) {
            Ok(_) => panic!("{}: loaded as a model", case.name),
            Err(error) if case.error.is_empty() => assert_eq!(variant(&error), "Model", "{}: {error}", case.name),
            Err(error) => assert_eq!(variant(&error), "Gguf", "{}: {error}", case.name),
        }
    }
}

#[test]
fn impossible_models() {
    let runtime = runtime();
    let mut wrong = Vec::new();
    for case in models() {
        let said = match gauged(&case, &runtime) {
            Ok(_) => ("".to_owned(), String::new()),
            Err(error) => (variant(&error), error.to_string()),
        };
        if said.0 != case.error || !said.1.contains(case.says) {
            wrong.push(format!("{}: wanted {} '{}', got {said:?}", case.name, case.error, case.says));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn odd_models_are_used_without_a_panic() {
    let runtime = runtime();
    for case in models().iter().filter(|case| case.error.is_empty()) {
        let model = load(&case.bytes, &runtime).unwrap();
        let start = Instant::now();
        let (used, result) = peak(|| use_up(&model));
        assert!(used < 600 << 20, "{}: {used} bytes", case.name);
        assert!(start.elapsed() < Duration::from_secs(20), "{}: {:?}", case.name, start.elapsed());
        if case.name.contains("NaN") && !case.name.contains("scale") {
            assert!(matches!(result, Err(Error::Model(_))), "{}: {result:?}", case.name);
        }
        if case.name.contains("emplate") {
            assert!(matches!(result, Ok(()) | Err(Error::Template(_))), "{}: {result:?}", case.name);
        }
    }
}

/// The same on a GPU, which must neither hang nor lose its device over a NaN.
#[test]
fn odd_models_are_used_on_a_gpu() {
    let Some(gpu) = devices::gpu_runtime() else { return };
    for case in models().iter().filter(|case| case.error.is_empty() && !case.name.contains("emplate")) {
        let result = load(&case.bytes, &gpu).and_then(|model| use_up(&model));
        assert!(
            matches!(result, Ok(()) | Err(Error::Model(_) | Error::Template(_) | Error::Unsupported(_))),
            "{}: {result:?}",
            case.name
        );
    }
}

/// Without any one of its tensors, or with one in another shape, a model is refused by that tensor's name.
#[test]
fn every_tensor_is_checked() {
    let runtime = runtime();
    for toy in [toy::llama(), toy::gemma3()] {
        for (name, ty, dims, _) in toy.tensors.clone() {
            let refused = |toy: &toy::Toy, what: &str| {
                let error = load(&toy.bytes(), &runtime).err().unwrap_or_else(|| panic!("{name} {what}: loaded"));
                assert!(matches!(error, Error::Model(_)), "{name} {what}: {error}");
                assert!(error.to_string().contains(&name) || name == "token_embd.weight", "{name} {what}: {error}");
            };
            if name != "output.weight" {
                refused(&toy.clone().without_tensor(&name), "missing");
            }
            refused(&toy.clone().tensor(&name, ty, &[dims[0] + 32, *dims.get(1).unwrap_or(&1)]), "wider");
            refused(&toy.clone().tensor(&name, ty, &[&dims[..], &[2]].concat()), "with a dimension more");
            refused(&toy.clone().tensor(&name, ty, &[dims[0] - 1, *dims.get(1).unwrap_or(&1)]), "narrower");
        }
    }
}

#[test]
fn every_truncation_is_an_error() {
    let runtime = runtime();
    let bytes = toy::gemma3().bytes();
    let header = model_header_len(&bytes, &runtime);
    // every length within the header, then each tensor's neighbourhood
    let lengths = (0..header).step_by(3).chain((header..bytes.len() - 32).step_by(1009));
    for len in lengths {
        let error = load(&bytes[..len], &runtime).err().unwrap_or_else(|| panic!("the first {len} bytes were loaded"));
        assert!(matches!(error, Error::Gguf(_)), "{len}: {error}");
    }
}

fn model_header_len(bytes: &[u8], runtime: &Runtime) -> usize {
    load(bytes, runtime).unwrap().header().data_start as usize
}

/// Whatever a byte of the header becomes: an error, or a model that can be used.
#[test]
fn every_changed_byte_is_survived() {
    let runtime = runtime();
    let bytes = toy::gemma3().bytes();
    let header = model_header_len(&bytes, &runtime);
    let (mut loaded, mut refused) = (0, 0);
    for at in 0..header {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let (used, result) = peak(|| load(&changed, &runtime));
            assert!(used <= FACTOR * changed.len() + CONSTANT, "byte {at} ^ {flip:#x}: {used} bytes");
            match result {
                Ok(model) if at % 16 == 0 => drop((use_up(&model), loaded += 1)),
                Ok(_) => loaded += 1,
                Err(error) => {
                    assert!(!matches!(error, Error::Internal(_)), "byte {at} ^ {flip:#x}: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(loaded > 100 && refused > 100, "{loaded} loaded, {refused} refused");
}

/// Damage to weights is no error: any bits are numbers. It must not be a panic either.
#[test]
fn random_weights_are_survived() {
    let runtime = runtime();
    let mut rng = gabion::sample::Rng::new(5);
    let bytes = toy::llama().bytes();
    let header = model_header_len(&bytes, &runtime);
    for _ in 0..50 {
        let mut changed = bytes.clone();
        for byte in &mut changed[header..] {
            if rng.next_u32().is_multiple_of(4) {
                *byte = rng.next_u32() as u8;
            }
        }
        let _ = use_up(&load(&changed, &runtime).unwrap());
    }
}

/// A source that tells no length and claims a huge tensor: no memory is taken for it.
#[test]
fn a_claimed_tensor_in_a_stream_takes_no_memory() {
    struct Stream(Vec<u8>);
    impl Source for Stream {
        fn len(&self) -> Option<u64> {
            None
        }
        async fn read(&mut self, offset: u64, len: usize) -> std::io::Result<Vec<u8>> {
            let start = (offset as usize).min(self.0.len());
            // the header comes whole, then the connection breaks; padding makes it look like a long stream
            Ok(self.0[start..(start.saturating_add(len)).min(self.0.len())].to_vec())
        }
        fn name(&self) -> String {
            "stream".into()
        }
    }
    let rows = 1u64 << 24;
    let toy = toy::llama().without_tokenizer();
    let small = toy.bytes();
    let name = b"token_embd.weight";
    let mut bytes = small.clone();
    for name in [&name[..], b"output.weight"] {
        let at = bytes.windows(name.len()).position(|window| window == name).unwrap() + name.len() + 4 + 8;
        bytes[at..at + 8].copy_from_slice(&rows.to_le_bytes());
    }
    bytes.resize(bytes.len() + (2 << 20), 0);
    let runtime = runtime();
    let options = ModelOptions::default();
    let (used, result) =
        peak(|| pollster::block_on(Model::load(vec![Stream(bytes)], &runtime, &options, &mut |_| true)));
    let error = result.err().unwrap();
    assert!(matches!(error, Error::Gguf(_) | Error::OutOfMemory { .. } | Error::Io { .. }), "{error}");
    assert!(used < 64 << 20, "{used} bytes for a claim of {} bytes: {error}", rows * 128);
}

#[test]
fn the_checks_can_fail() {
    let runtime = runtime();
    let sound = BytesSource::new(toy::llama().bytes());
    assert!(pollster::block_on(Model::load(vec![sound], &runtime, &ModelOptions::default(), &mut |_| true)).is_ok());
    let (used, result) = peak(|| load(&toy::llama().bytes(), &runtime));
    assert!(result.is_ok() && used > 50_000, "the gauge sees the allocations of loading: {used}");
    assert_eq!(variant(&Error::Model("x".into())), "Model");
}
