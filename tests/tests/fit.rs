//! What `Runtime::fit` says before loading is what loading and a session then take, and what cannot run is refused by name.

use gabion::gguf::{BytesSource, Header, Owned, Parse, read_headers};
use gabion::quant::TensorType;
use gabion::{EmbedderOptions, Error, Fit, FitOptions, KvType, Model, ModelOptions, Runtime, SessionOptions};
use gabion_tests::alloc::{Counting, peak};
use gabion_tests::devices;
use gabion_tests::hostile::models;
use gabion_tests::toy::{self, Toy};

#[global_allocator]
static ALLOC: Counting = Counting;

/// Bytes of a session besides its buffers: lists, locks, the session itself.
const BOOKKEEPING: usize = 16 << 10;

fn header(toy: &Toy) -> Header {
    pollster::block_on(read_headers(&mut [BytesSource::new(toy.bytes())])).unwrap()
}

fn options(exact: bool, n_ctx: usize, n_batch: usize, kv: Option<KvType>) -> FitOptions {
    let session = SessionOptions { n_ctx, n_batch, kv };
    FitOptions { model: ModelOptions { exact, ..Default::default() }, session, memory: None }
}

/// Toys whose vectors, types and windows differ.
fn toys() -> [Toy; 4] {
    let quantized = toy::llama().tensor("output.weight", TensorType::Q8_0, &[toy::N_EMBD, toy::N_VOCAB]);
    [toy::llama(), toy::gemma3(), toy::qwen35(), quantized]
}

fn every_case(runtime: &Runtime, check: impl Fn(&Toy, &FitOptions, &Fit)) {
    for toy in toys() {
        let header = header(&toy);
        for (exact, n_ctx, n_batch) in [(false, 0, 0), (true, 100, 7), (false, 1, 1), (true, 5000, 64)] {
            for kv in [None, Some(KvType::F32), Some(KvType::Q8_0), Some(KvType::Q4_0)] {
                let options = options(exact, n_ctx, n_batch, kv);
                check(&toy, &options, &runtime.fit(&header, &options).unwrap());
            }
        }
    }
}

#[test]
fn a_session_on_the_cpu_takes_what_was_foretold() {
    for threads in [1, 3] {
        let runtime = devices::cpu(gabion::device::cpu::Level::best(), Some(threads));
        every_case(&runtime, |toy, options, fit| {
            let model = toy.load(&runtime, &options.model).unwrap();
            assert_eq!(fit.weight_bytes, model.weight_bytes());
            let (taken, session) = peak(|| model.session(&options.session).unwrap());
            let foretold = (fit.kv_bytes + fit.scratch_bytes) as usize;
            assert_eq!((session.bytes(), session.n_ctx()), (foretold as u64, fit.n_ctx));
            assert!((foretold..foretold + BOOKKEEPING).contains(&taken), "{taken} bytes of {foretold}: {options:?}");
        });
    }
}

#[cfg(feature = "gpu")]
#[test]
fn a_session_on_a_gpu_takes_what_was_foretold() {
    use gabion::device::gpu::{GpuOptions, Level};
    // at each level other inputs are packed
    for level in [None, Some(Level::Base), Some(Level::Int8)] {
        let Some(gpu) = devices::gpu(GpuOptions { level, ..GpuOptions::default() }) else { return };
        let runtime = Runtime::from_device(gpu);
        every_case(&runtime, |toy, options, fit| {
            let model = toy.load(&runtime, &options.model).unwrap();
            let session = model.session(&options.session).unwrap();
            assert_eq!(fit.weight_bytes, model.weight_bytes());
            assert_eq!((session.bytes(), session.n_ctx()), (fit.kv_bytes + fit.scratch_bytes, fit.n_ctx));
        });
    }
}

/// Every family at hand, with whatever its state is made of.
#[test]
fn every_tiny_model_takes_what_was_foretold() {
    let files = gabion_tests::tiny_models();
    let cpu = devices::cpu(gabion::device::cpu::Level::best(), Some(2));
    let mut seen = 0;
    for runtime in [Some(cpu), devices::gpu_runtime()].into_iter().flatten() {
        for path in &files {
            let name = path.display();
            let header = Model::read_header(path).unwrap();
            let options = options(false, 77, 9, None);
            let Ok(fit) = runtime.fit(&header, &options) else { continue };
            let model = Model::open(path, &runtime, &options.model, &mut |_| true).unwrap();
            assert_eq!(fit.weight_bytes, model.weight_bytes(), "{name}");
            let (max_tokens, batch_tokens) = (options.session.n_ctx, options.session.n_batch);
            let taken = match model.spec().output {
                Some(_) => model.session(&options.session).unwrap().bytes(),
                None => {
                    model.embedder(&EmbedderOptions { max_tokens, batch_tokens, ..Default::default() }).unwrap().bytes()
                }
            };
            assert_eq!(fit.kv_bytes + fit.scratch_bytes, taken, "{name}");
            seen += 1;
        }
    }
    assert!(2 * seen > files.len(), "{seen} models");
}

/// The driver's allocations, which gabion does not count itself.
#[cfg(feature = "gpu")]
#[test]
fn the_drivers_own_count_agrees() {
    let Some(gpu) = devices::gpu(Default::default()) else { return };
    let device = gpu.wgpu_device().clone();
    let runtime = Runtime::from_device(gpu);
    // lavapipe's own memory is the machine's
    assert!(runtime.limits().memory.is_some_and(|bytes| bytes > 1 << 28), "{:?}", runtime.limits());
    let (toy, options) = (toy::gemma3(), options(false, 5000, 64, None));
    let fit = runtime.fit(&header(&toy), &options).unwrap();
    let model = toy.load(&runtime, &options.model).unwrap();
    let _session = model.session(&options.session).unwrap();
    let report = device.generate_allocator_report().expect("Vulkan reports");
    // wgpu's own staging memory, and uniforms, are not of the model
    let ours = report.allocations.iter().filter(|a| !a.name.starts_with('(') && a.name != "uniforms");
    let (count, bytes) = ours.fold((0, 0), |(count, bytes), a| (count + 1, bytes + a.size));
    assert!(count > 10 && bytes >= fit.total_bytes(), "{count} buffers of {bytes} bytes, {}", fit.total_bytes());
    assert!(bytes < fit.total_bytes() + count * 256, "{bytes} bytes, {} foretold", fit.total_bytes());
}

#[test]
fn the_longest_context_fits_and_one_more_does_not() {
    let runtime = devices::cpu(gabion::device::cpu::Level::best(), Some(1));
    let (header, asked) = (header(&toy::llama()), options(false, 0, 16, None));
    let all = runtime.fit(&header, &FitOptions { memory: Some(u64::MAX), ..asked }).unwrap();
    assert_eq!((all.max_n_ctx, all.n_ctx, all.fits()), (256, 256, true), "what it was trained for");
    let memory = Some(all.total_bytes() - 1);
    let less = runtime.fit(&header, &FitOptions { memory, ..asked }).unwrap();
    assert!(!less.fits() && less.max_n_ctx < 256, "{less:?}");
    assert!(less.problem.unwrap().contains("may be taken"));
    let at = |n_ctx| FitOptions { session: SessionOptions { n_ctx, ..asked.session }, memory, ..asked };
    assert!(runtime.fit(&header, &at(less.max_n_ctx)).unwrap().fits());
    assert!(!runtime.fit(&header, &at(less.max_n_ctx + 1)).unwrap().fits());
    let none = runtime.fit(&header, &FitOptions { memory: Some(all.weight_bytes), ..asked }).unwrap();
    assert_eq!((none.fits(), none.max_n_ctx), (false, 0));
}

#[cfg(feature = "gpu")]
#[test]
fn a_buffer_limit_is_named_before_a_session_meets_it() {
    use gabion::device::gpu::GpuOptions;
    let Some(gpu) = devices::gpu(GpuOptions { max_buffer_bytes: Some(1 << 20), ..GpuOptions::default() }) else {
        return;
    };
    let runtime = Runtime::from_device(gpu);
    let (toy, asked) = (toy::llama(), options(false, 20000, 16, None));
    let fit = runtime.fit(&header(&toy), &asked).unwrap();
    assert!(fit.problem.as_ref().is_some_and(|problem| problem.contains("largest is 1.0 MiB")), "{fit:?}");
    let model = toy.load(&runtime, &asked.model).unwrap();
    let open = |n_ctx| model.session(&SessionOptions { n_ctx, ..asked.session });
    assert!(matches!(open(20000).err(), Some(Error::OutOfMemory { .. })));
    assert!(matches!(open(fit.max_n_ctx + 1).err(), Some(Error::OutOfMemory { .. })), "{}", fit.max_n_ctx);
    assert!(open(fit.max_n_ctx).is_ok(), "{}", fit.max_n_ctx);
}

#[test]
fn what_is_missing_is_named() {
    let runtime = devices::cpu(gabion::device::cpu::Level::best(), Some(1));
    let refused = |toy: Toy| runtime.fit(&header(&toy), &FitOptions::default()).unwrap_err().to_string();
    let llama = || toy::llama();
    let says = |toy: Toy, words: &[&str]| {
        let said = refused(toy);
        assert!(words.iter().all(|word| said.contains(word)), "{said}: {words:?}");
    };
    says(llama().set("general.architecture", Owned::String("mystery".into())), &["architecture 'mystery'", "llama"]);
    says(llama().set("tokenizer.ggml.model", Owned::String("runes".into())), &["tokenizer", "runes"]);
    says(llama().set("tokenizer.ggml.pre", Owned::String("rune-split".into())), &["tokenizer", "rune-split"]);
    says(llama().tensor("output.weight", TensorType::I8, &[toy::N_EMBD, toy::N_VOCAB]), &["output.weight", "I8"]);
    says(llama().without_tensor("blk.1.ffn_up.weight"), &["blk.1.ffn_up.weight", "missing"]);
    assert_eq!(gabion::ModelInfo::new(&header(&llama().without_tokenizer())).tokenizer, "");
    assert!(runtime.fit(&header(&llama().without_tokenizer()), &FitOptions::default()).is_ok());
}

#[test]
fn information_comes_from_any_header() {
    let info = gabion::ModelInfo::new(&header(&toy::llama().set("general.name", Owned::String("Toy".into()))));
    let wanted = ("llama", "Toy", "gpt2", 264, 32, 2, 256, true);
    let got = (&*info.architecture, &*info.name, &*info.tokenizer, info.n_vocab, info.n_embd, info.n_layer);
    assert_eq!((got.0, got.1, got.2, got.3, got.4, got.5, info.n_ctx_train, info.has_chat_template), wanted);
    assert_eq!((info.tensor_bytes, info.bits_per_weight), (4 * info.n_parameters, 32.0));
    assert_eq!(gabion::ModelInfo::new(&header(&toy::llama().without_key("architecture"))).architecture, "");
}

#[test]
fn impossible_models_are_refused_as_loading_does() {
    let runtime = devices::cpu(gabion::device::cpu::Level::best(), Some(1));
    for case in models() {
        let Ok(header) = pollster::block_on(read_headers(&mut [BytesSource::new(case.bytes.clone())])) else {
            continue;
        };
        let (bytes, fit) = peak(|| runtime.fit(&header, &FitOptions::default()).map(drop));
        let loaded = toy::load(case.bytes.clone(), &runtime, &ModelOptions::default()).map(drop);
        let said = |result: Result<(), Error>| result.err().map(|error| error.to_string());
        assert_eq!(said(fit), said(loaded), "{}", case.name);
        assert!(bytes < (4 << 20) + 64 * case.bytes.len(), "{}: {bytes} bytes", case.name);
    }
}

#[test]
fn sizes_that_only_a_header_claims_take_no_memory() {
    let runtime = devices::cpu(gabion::device::cpu::Level::best(), Some(1));
    let name = "token_embd.weight";
    // the last tensor, so that it overlaps nothing however large it says it is
    let bytes = toy::llama().without_tensor("output.weight").tensor(name, TensorType::F32, &[toy::N_EMBD, 1]).bytes();
    let at = bytes.windows(name.len()).position(|window| window == name.as_bytes()).unwrap() + name.len() + 4;
    for rows in [(1 << 24) + 1, 1 << 32, 1 << 50] {
        let mut bytes = bytes.clone();
        bytes[at + 8..at + 16].copy_from_slice(&u64::to_le_bytes(rows));
        let Ok(Parse::Done(header)) = Header::parse(&bytes, None) else { panic!("a sound header of unknown length") };
        let (taken, fit) = peak(|| runtime.fit(&header, &FitOptions::default()));
        assert!(fit.unwrap_err().to_string().contains("beyond 16777216 along"));
        assert!(taken < 1 << 20, "{taken} bytes");
    }
    // the largest that is admitted is computed with, and nothing overflows
    let mut bytes = bytes.clone();
    bytes[at + 8..at + 16].copy_from_slice(&u64::to_le_bytes(1 << 24));
    let Ok(Parse::Done(header)) = Header::parse(&bytes, None) else { panic!("a sound header of unknown length") };
    let (taken, fit) = peak(|| runtime.fit(&header, &options(false, 1 << 24, 1 << 24, None)));
    let fit = fit.unwrap();
    assert!(fit.total_bytes() > 1 << 31 && !fit.fits() && taken < 1 << 20, "{taken} bytes, {fit:?}");
}
