//! Tiny random models against the logits that another engine computes in float32 from the same weights, in exact mode on
//! every device. What this version cannot run must say so by name.

use std::path::{Path, PathBuf};

use gabion::device::cpu::Level;
#[cfg(feature = "gpu")]
use gabion::device::gpu::GpuOptions;
use gabion::gguf::Owned;
use gabion::quant::TensorType;
use gabion::{
    EmbedderOptions, Error, Gelu, GenerateOptions, KvType, Model, ModelOptions, Pooling, Runtime, SamplerOptions,
    SessionOptions,
};
use gabion_tests::golden::{self, Tiny, TinyAnswer, TinyPrompt, TinyText, certain, nmse, position};
use gabion_tests::{devices, shared, tiny_models, toy};

/// Of the last logits. The golden files hold 6 digits; the CPU and lavapipe come within 1e-10, other GPUs need not.
const NMSE: f64 = 1e-8;
/// Of ln Σ exp, and the least lead of a token that is asked for.
const TOLERANCE: f32 = 1e-3;

/// Tokens of a batch where a prompt is computed in pieces: shorter than any window, and no divisor of a prompt.
const PIECE: usize = 11;

/// Files of families that this version does not run yet. It must say so by name; all others must run.
const NOT_YET: &[&str] = &[];

/// Every tiny model, with its name.
fn files() -> Vec<(String, PathBuf)> {
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    tiny_models().into_iter().map(|path| (name(&path), path)).collect()
}

fn open(path: &Path, runtime: &Runtime) -> Result<Model, Error> {
    // the golden answers have the tanh form throughout
    Model::open(path, runtime, &ModelOptions { exact: true, gelu: Some(Gelu::Tanh) }, &mut |_| true)
}

/// All that is wrong with a model's answers to one prompt.
fn problems(model: &Model, prompt: &TinyPrompt) -> Vec<String> {
    let options = SessionOptions { n_ctx: prompt.n_ctx.unwrap_or(0), kv: Some(KvType::F32), ..Default::default() };
    let mut session = model.session(&options).unwrap();
    let mut found = Vec::new();
    session.sync(&prompt.ids).unwrap();
    found.extend(logits_off("at once", prompt, session.logits()));
    if prompt.ids.len() > PIECE {
        let mut pieces = model.session(&SessionOptions { n_batch: PIECE, ..options }).unwrap();
        pieces.sync(&prompt.ids).unwrap();
        found.extend(logits_off("in pieces", prompt, pieces.logits()));
    }
    session.clear();
    for (i, &id) in prompt.ids.iter().enumerate() {
        session.step(id).unwrap();
        found.extend(position(prompt, i, session.logits(), TOLERANCE));
    }
    found.extend(logits_off("token by token", prompt, session.logits()));
    let wanted = &prompt.greedy[..certain(&prompt.greedy_margin, TOLERANCE)];
    let greedy = greedy(&mut session, &prompt.ids, wanted.len());
    found.extend((greedy != wanted).then(|| format!("greedy tokens are {greedy:?}, not {wanted:?}")));
    found
}

/// Caches of 8 and 4 bits, by how far they move the logits. (Greedy tokens may differ.)
#[test]
fn integer_caches_are_close() {
    let runtimes = [Some(devices::cpu(Level::best(), None)), devices::gpu_runtime()];
    runtimes.iter().flatten().for_each(integer_caches_are_close_on);
}

fn integer_caches_are_close_on(runtime: &Runtime) {
    for (name, path) in files().iter().filter(|(name, _)| ["llama", "qwen2", "gemma3"].contains(&name.as_str())) {
        let model = open(path, runtime).unwrap();
        for prompt in runs::<TinyPrompt>(path) {
            let off = |kv| {
                let mut session = model.session(&SessionOptions { kv: Some(kv), ..Default::default() }).unwrap();
                session.sync(&prompt.ids).unwrap();
                nmse(&prompt.last_logits, session.logits())
            };
            let (fine, coarse) = (off(KvType::Q8_0), off(KvType::Q4_0));
            eprintln!("{name}, {} tokens: q8_0 {fine:.1e}, q4_0 {coarse:.1e}", prompt.ids.len());
            assert!(fine < 1e-3 && coarse < 0.1 && fine < coarse, "{name}: {fine:.1e}, {coarse:.1e}");
        }
    }
}

fn logits_off(how: &str, prompt: &TinyPrompt, logits: &[f32]) -> Option<String> {
    let off = nmse(&prompt.last_logits, logits);
    (off > NMSE).then(|| format!("logits of {} tokens {how}: NMSE {off:.1e}", prompt.ids.len()))
}

fn greedy(session: &mut gabion::Session, prompt: &[u32], n: usize) -> Vec<u32> {
    let sampler = SamplerOptions::greedy();
    let options = GenerateOptions { max_tokens: Some(n), sampler, ignore_eog: true, ..Default::default() };
    let (mut generation, _) = session.generate(prompt, &options).unwrap();
    let mut ids = Vec::new();
    while let Some(piece) = generation.next().unwrap() {
        ids.extend(piece.token.map(|token| token.id));
    }
    ids
}

/// All that is wrong with an encoder's states of texts, which go through it side by side, or each by itself.
fn text_problems(model: &Model, texts: &[TinyText]) -> Vec<String> {
    let ids: Vec<&[u32]> = texts.iter().map(|text| text.ids.as_slice()).collect();
    let embed = |pooling| {
        let options = EmbedderOptions { normalize: false, pooling: Some(pooling), ..Default::default() };
        let mut embedder = model.embedder(&options).unwrap();
        let alone = ids.iter().map(|ids| embedder.embed_tokens(&[ids]).unwrap().remove(0)).collect::<Vec<_>>();
        [("together", embedder.embed_tokens(&ids).unwrap()), ("alone", alone)]
    };
    let runs = embed(Pooling::None).into_iter().zip(embed(Pooling::Mean));
    let problems = runs.flat_map(|((how, states), (_, means))| {
        let each = texts.iter().zip(states.into_iter().zip(means));
        each.flat_map(|(text, (states, mean))| text_off(how, text, &states, &mean)).collect::<Vec<_>>()
    });
    problems.collect()
}

fn text_off(how: &str, text: &TinyText, states: &[f32], mean: &[f32]) -> Vec<String> {
    let rows: Vec<&[f32]> = states.chunks_exact(mean.len()).collect();
    let norms: Vec<f32> = rows.iter().map(|row| row.iter().map(|x| x * x).sum::<f32>().sqrt()).collect();
    let firsts = text.token_embeddings.iter().zip(&rows).map(|(wanted, row)| ("a token's state", nmse(wanted, row)));
    let rest = [("lengths", nmse(&text.token_norms, &norms)), ("the mean", nmse(&text.pooled_mean, mean))];
    let wrong = firsts.chain(rest).filter(|(_, off)| off.is_nan() || *off > NMSE);
    wrong.map(|(what, off)| format!("{what} of {} tokens {how}: NMSE {off:.1e}", text.ids.len())).collect()
}

/// All that is wrong with an encoder-decoder's answer to a text.
fn answer_problems(model: &Model, text: &TinyAnswer) -> Vec<String> {
    let mut session = model.session(&SessionOptions { kv: Some(KvType::F32), ..Default::default() }).unwrap();
    let mut found = Vec::new();
    let mut compare = |what: &str, wanted: &[f32], got: &[f32]| {
        let off = nmse(wanted, got);
        found.extend((off > NMSE).then(|| format!("{what} after {} tokens: NMSE {off:.1e}", text.encoder_ids.len())));
    };
    assert_eq!(model.decoder_start(), Some(text.decoder_start));
    session.encode(&text.encoder_ids).unwrap();
    session.sync(&[text.decoder_start]).unwrap();
    compare("first logits", &text.first_logits, session.logits());
    let (last, before) = text.greedy.split_last().unwrap();
    for &id in before {
        session.step(id).unwrap();
    }
    compare("last logits, token by token", &text.last_logits, session.logits());
    session.clear();
    let answer: Vec<u32> = [&[text.decoder_start], before].concat();
    session.sync(&answer).unwrap();
    compare("last logits, at once", &text.last_logits, session.logits());
    let sum = gabion::sample::log_sum_exp(session.logits());
    compare("ln Σ exp", &[text.logsumexp[before.len()] as f32], &[sum as f32]);
    let wanted = &text.greedy[..certain(&text.greedy_margin, TOLERANCE)];
    assert!(wanted.last() == Some(last), "every greedy token leads clearly");
    let greedy = greedy(&mut session, &text.encoder_ids, wanted.len());
    found.extend((greedy != wanted).then(|| format!("greedy tokens are {greedy:?}, not {wanted:?}")));
    found
}

/// The runs of a golden file.
fn runs<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let golden: Tiny = golden::load(&path.with_extension("json"));
    golden.prompts.into_iter().map(|prompt| serde_json::from_value(prompt).unwrap()).collect()
}

/// Whether an error says what exactly is not supported.
fn names_what_is_missing(error: &Error, path: &Path) -> bool {
    let golden: Tiny = golden::load(&path.with_extension("json"));
    let text = error.to_string();
    let arch = text.contains(&format!("'{}'", golden.arch)) || text.contains(&format!("{}.", golden.arch));
    let types = (0..64).filter_map(TensorType::from_id).map(|ty| format!("is {},", ty.name()));
    let tensor = text.contains("tensor '") && types.into_iter().any(|ty| text.contains(&ty));
    matches!(error, Error::Unsupported(_)) && (arch || tensor)
}

/// All of them, or those that the environment variable `TINY` names, e.g. `TINY=llama,mamba`.
fn check(device: &str, runtime: &Runtime) {
    let (mut wrong, mut ran, mut refused) = (Vec::new(), 0, 0);
    let only = std::env::var("TINY").unwrap_or_default();
    for (name, path) in
        files().into_iter().filter(|(name, _)| only.is_empty() || only.split(',').any(|one| one == name))
    {
        match open(&path, runtime) {
            Ok(model) => {
                ran += 1;
                let kind = golden::load::<Tiny>(&path.with_extension("json")).kind;
                let found: Vec<String> = match kind.as_str() {
                    "decoder" => runs(&path).iter().flat_map(|prompt| problems(&model, prompt)).collect(),
                    "encoder" => text_problems(&model, &runs(&path)),
                    _ => runs(&path).iter().flat_map(|text| answer_problems(&model, text)).collect(),
                };
                wrong.extend(found.iter().map(|problem| format!("{name}: {problem}")));
            }
            Err(error) => {
                refused += 1;
                let fine = NOT_YET.contains(&name.as_str()) && names_what_is_missing(&error, &path);
                wrong.extend((!fine).then(|| format!("{name}: {error}")));
            }
        }
    }
    eprintln!("{device}: {ran} tiny models compared, {refused} refused as unsupported");
    assert!(wrong.is_empty(), "{device}: {wrong:#?}");
}

#[test]
fn on_every_cpu_level() {
    for level in devices::levels() {
        check(level.name(), &devices::cpu(level, Some(2)));
    }
}

#[test]
fn on_a_software_gpu() {
    if let Some(gpu) = devices::gpu_runtime() {
        check("GPU", &gpu);
    }
}

#[test]
#[cfg(feature = "gpu")]
fn on_a_software_gpu_at_default_limits() {
    if let Some(gpu) = devices::gpu(GpuOptions { default_limits: true, ..Default::default() }) {
        check("GPU at default limits", &Runtime::from_device(gpu));
    }
}

/// A perturbed answer fails each comparison.
#[test]
fn the_comparisons_can_fail() {
    let prompt = TinyPrompt {
        ids: vec![1],
        n_ctx: None,
        last_logits: vec![1.0, 2.0, -1.0],
        argmax: vec![1],
        argmax_margin: vec![1.0],
        logsumexp: vec![gabion::sample::log_sum_exp(&[1.0, 2.0, -1.0])],
        greedy: vec![1, 2],
        greedy_margin: vec![1.0, 1e-4],
    };
    let wrong =
        |logits: &[f32]| (logits_off("", &prompt, logits).is_some(), position(&prompt, 0, logits, TOLERANCE).is_some());
    assert_eq!(wrong(&[1.0, 2.0, -1.0]), (false, false));
    assert_eq!(wrong(&[1.0, 2.0, -0.99]), (true, false));
    assert_eq!(wrong(&[1.0, 2.01, -1.0]), (true, true));
    assert_eq!(wrong(&[2.0, 1.0, -1.0]), (true, true));
    assert_eq!(wrong(&[1.0, f32::NAN, -1.0]), (true, true));
    assert_eq!(wrong(&[f32::NAN; 3]), (true, true));
    assert!(logits_off("", &prompt, &[1.0, 2.0]).is_some());
    assert_eq!(certain(&prompt.greedy_margin, TOLERANCE), 1);
}

/// A single wrong weight moves the answers beyond the tolerances: they are tight enough to see it.
#[test]
fn a_wrong_weight_fails() {
    let Some(path) = shared("tiny/llama.gguf") else { return };
    let runtime = devices::cpu(gabion::device::cpu::Level::Reference, Some(1));
    let mut bytes = std::fs::read(&path).unwrap();
    let good = open(&path, &runtime).unwrap();
    let norm = good.header().tensor("blk.1.attn_norm.weight").unwrap();
    let at = norm.offset as usize;
    let value = f32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    bytes[at..at + 4].copy_from_slice(&(value * 1.2).to_le_bytes());
    let (files, options) =
        (vec![gabion::gguf::BytesSource::new(bytes)], ModelOptions { exact: true, ..Default::default() });
    let bad = pollster::block_on(Model::load(files, &runtime, &options, &mut |_| true)).unwrap();
    let prompt = &runs::<TinyPrompt>(&path)[2];
    assert!(problems(&good, prompt).is_empty());
    assert!(problems(&bad, prompt).len() >= 3, "{:#?}", problems(&bad, prompt));
}

/// Blocks behind the last layer that predict further tokens are left alone.
#[test]
fn predicting_blocks_have_no_part_in_the_answer() {
    let plain = toy::llama();
    let last = plain.tensors.iter().filter(|tensor| tensor.0.starts_with("blk.1.")).cloned();
    let mut more = plain.clone().set("block_count", Owned::U32(3)).set("nextn_predict_layers", Owned::U32(1));
    more.tensors.extend(last.map(|(name, ty, dims, data)| (name.replace("blk.1.", "blk.2."), ty, dims, data)));
    more = more.tensor("blk.2.nextn.eh_proj.weight", TensorType::F32, &[64, 32]);
    let runtime = devices::cpu(Level::best(), None);
    let load = |toy: &toy::Toy| toy.load(&runtime, &ModelOptions::default());
    let logits = |toy: &toy::Toy| {
        let model = load(toy).unwrap();
        let mut session = model.session(&SessionOptions::default()).unwrap();
        session.sync(&[1, 2, 3]).unwrap();
        session.logits().to_vec()
    };
    assert_eq!(logits(&plain), logits(&more));
    let unknown = more.clone().set("nextn_predict_layers", Owned::U32(0)).set("block_count", Owned::U32(2));
    assert!(matches!(load(&unknown), Err(Error::Unsupported(problem)) if problem.contains("blk.2.")));
}

/// Some of Gemma 4's layers have no matrix of values: these are keys before their norm.
#[test]
fn values_without_a_matrix_are_keys() {
    let mut with = toy::gemma3().renamed("gemma4");
    let names: Vec<String> = with.tensors.iter().map(|tensor| tensor.0.clone()).collect();
    let keys: Vec<&String> = names.iter().filter(|name| name.ends_with("attn_k.weight")).collect();
    let value = |key: &str| key.replace("attn_k", "attn_v");
    let without = keys.iter().fold(with.clone(), |toy, key| toy.without_tensor(&value(key)));
    for key in keys {
        let at = |name: &str| names.iter().position(|other| other == name).unwrap();
        with.tensors[at(&value(key))].3 = with.tensors[at(key)].3.clone();
    }
    for runtime in [Some(devices::cpu(Level::best(), None)), devices::gpu_runtime()].iter().flatten() {
        let [wanted, got] = [&with, &without].map(|toy| {
            let model = toy.load(runtime, &ModelOptions { exact: true, ..Default::default() }).unwrap();
            let mut session = model.session(&SessionOptions::default()).unwrap();
            session.sync(&[1, 2, 3, 4, 5]).unwrap();
            session.logits().to_vec()
        });
        let off = nmse(&wanted, &got);
        assert!(off < 1e-12 && wanted.iter().any(|x| *x != wanted[0]), "{off}");
    }
}
