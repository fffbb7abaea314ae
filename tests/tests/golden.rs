//! Real models against what another engine computed in float32 from the same weights: teacher-forced log-probabilities
//! first, then greedy tokens; in exact mode on every device. Default paths against exact ones, by perplexity.

use std::time::Instant;

use gabion::device::cpu::Level;
use gabion::sample::argmax;
use gabion::{GenerateOptions, Model, ModelOptions, Runtime, SamplerOptions, Session, SessionOptions};
use gabion_tests::golden::{Real, Step, largest_off, load, top_off};
use gabion_tests::{GEMMA3, QWEN2, SMOLLM2, devices, model, shared};

/// Of every log-probability.
const TOLERANCE: f32 = 2e-3;

/// How much of a golden file to run: all of it where the device is fast enough for that.
#[derive(Clone, Copy)]
struct Extent {
    /// Whether a prompt that was scored is computed once more, for its last logits alone.
    anew: bool,
    /// Tokens after each prompt.
    steps: usize,
}

const ALL: Extent = Extent { anew: true, steps: usize::MAX };
/// For slow devices: every prompt, fewer tokens after it.
const SOME: Extent = Extent { anew: true, steps: 8 };
/// For the slowest: the reference, which computes one token like the other, and a large vocabulary on an emulated GPU.
const FEW: Extent = Extent { anew: false, steps: 4 };

fn open(name: &str, runtime: &Runtime, exact: bool) -> Option<Model> {
    Some(Model::open(&model(name)?, runtime, &ModelOptions { exact, ..Default::default() }, &mut |_| true).unwrap())
}

fn session(model: &Model) -> Session {
    model.session(&SessionOptions { n_ctx: 512, ..Default::default() }).unwrap()
}

/// Everything that is wrong with one prompt; tells the largest deviations.
fn problems(model: &Model, golden: &Real, extent: Extent) -> Vec<String> {
    let mut session = session(model);
    let mut found = Vec::new();
    let nll = session.score(&golden.prompt_ids).unwrap();
    let nll_off = largest_off(&golden.prompt_nll, &nll);
    found.extend((nll_off > TOLERANCE).then(|| format!("{}: nll is off by {nll_off}", golden.name)));
    if extent.anew {
        session.clear();
        session.sync(&golden.prompt_ids).unwrap();
    }
    let (mut largest, greedy) = (0f32, &golden.greedy[..golden.greedy.len().min(extent.steps)]);
    for (i, step) in greedy.iter().enumerate() {
        found.extend(step_off(step, session.logits()).map(|off| format!("{}, token {i}: {off}", golden.name)));
        largest = largest.max(top_off(step, session.logits()));
        session.step(step.id).unwrap();
    }
    eprintln!("  {}: |Δ nll| {nll_off:.1e}, |Δ logprob| {largest:.1e} over {} steps", golden.name, greedy.len());
    found
}

fn step_off(step: &Step, logits: &[f32]) -> Option<String> {
    let off = top_off(step, logits);
    let best = argmax(logits);
    (off > TOLERANCE || best != Some(step.id))
        .then(|| format!("log-probabilities off by {off}, {best:?} leads, not {}", step.id))
}

fn check(file: &str, golden: &str, runtime: &Runtime, extent: Extent) {
    let (Some(golden), Some(model)) = (shared(golden), open(file, runtime, true)) else { return };
    let start = Instant::now();
    let prompts: Vec<Real> = load(&golden);
    let found = prompts.iter().flat_map(|prompt| problems(&model, prompt, extent));
    let found: Vec<String> = found.collect();
    eprintln!("{file} on {}: {:.1} s", runtime.info().name, start.elapsed().as_secs_f64());
    assert!(found.is_empty(), "{file} on {}: {found:#?}", runtime.info().name);
}

/// The whole way, as a user goes it: text in, greedy text out.
fn check_text(file: &str, golden: &str, runtime: &Runtime) {
    let (Some(golden), Some(model)) = (shared(golden), open(file, runtime, true)) else { return };
    for prompt in load::<Vec<Real>>(&golden) {
        let ids = model.tokenize(&prompt.text, true, false).unwrap();
        assert_eq!(ids, prompt.prompt_ids, "{}", prompt.name);
        let (ids, text) = generate(&mut session(&model), &ids, prompt.greedy.len());
        assert_eq!(ids, prompt.greedy.iter().map(|step| step.id).collect::<Vec<_>>(), "{}", prompt.name);
        assert_eq!(text.trim_start(), model.detokenize(&ids, false).unwrap().trim_start(), "{}", prompt.name);
    }
}

fn generate(session: &mut Session, prompt: &[u32], n: usize) -> (Vec<u32>, String) {
    let sampler = SamplerOptions::greedy();
    let options = GenerateOptions { max_tokens: Some(n), sampler, ignore_eog: true, ..Default::default() };
    let (mut generation, _) = session.generate(prompt, &options).unwrap();
    let (mut ids, mut text) = (Vec::new(), String::new());
    while let Some(piece) = generation.next().unwrap() {
        ids.extend(piece.token.map(|token| token.id));
        text.push_str(&piece.text);
    }
    (ids, text)
}

#[test]
fn smollm2_on_the_reference() {
    check(SMOLLM2, "golden/smollm2.json", &devices::cpu(Level::Reference, None), FEW);
}

#[test]
fn gemma3_on_the_reference() {
    check(GEMMA3, "golden/gemma3.json", &devices::cpu(Level::Reference, None), FEW);
}

/// The fastest level is what users get; the others differ from it in their kernels only.
fn simd(file: &str, golden: &str) {
    for level in devices::levels().filter(|&level| level != Level::Reference) {
        check(file, golden, &devices::cpu(level, None), if level == Level::best() { ALL } else { SOME });
    }
}

#[test]
fn smollm2_on_every_simd_level() {
    simd(SMOLLM2, "golden/smollm2.json");
}

#[test]
fn gemma3_on_every_simd_level() {
    simd(GEMMA3, "golden/gemma3.json");
}

#[test]
fn smollm2_on_a_software_gpu() {
    if let Some(gpu) = devices::gpu_runtime() {
        check(SMOLLM2, "golden/smollm2.json", &gpu, SOME);
    }
}

#[test]
fn gemma3_on_a_software_gpu() {
    if let Some(gpu) = devices::gpu_runtime() {
        check(GEMMA3, "golden/gemma3.json", &gpu, FEW);
    }
}

#[test]
fn text_in_text_out() {
    let runtime = devices::cpu(Level::best(), None);
    check_text(SMOLLM2, "golden/smollm2.json", &runtime);
    check_text(GEMMA3, "golden/gemma3.json", &runtime);
}

/// By hand (`--ignored`): the tests do not fetch this model of 1.1 GB.
#[test]
#[ignore = "large model, run by hand"]
fn qwen2() {
    check(QWEN2, "golden/qwen.json", &devices::cpu(Level::Reference, None), SOME);
    check(QWEN2, "golden/qwen.json", &devices::cpu(Level::best(), None), ALL);
    if let Some(gpu) = devices::gpu_runtime() {
        check(QWEN2, "golden/qwen.json", &gpu, SOME);
    }
}

/// The first five chapters of Ecclesiastes in the King James Version (public domain).
const TEXT: &str = include_str!("../fixtures/text/ecclesiastes.txt");
/// How much larger or smaller the default path's perplexity may be than the exact one's.
const PERPLEXITY: f64 = 0.005;

/// Perplexity of the first windows of so many tokens of `TEXT`, as llama.cpp takes it: each begins with the first token (BOS),
/// and its second half counts.
fn perplexity(model: &Model, windows: usize, tokens: usize) -> f64 {
    let mut ids = model.tokenize(TEXT, true, false).unwrap();
    let (mut session, first) = (session(model), ids[0]);
    let nll: Vec<f32> = ids
        .chunks_exact_mut(tokens)
        .take(windows)
        .flat_map(|window| {
            window[0] = first;
            session.score(window).unwrap().split_off(tokens / 2 - 1)
        })
        .collect();
    assert_eq!(nll.len(), windows * tokens / 2);
    (nll.iter().map(|&x| f64::from(x)).sum::<f64>() / nll.len() as f64).exp()
}

fn close(exact: f64, default: f64) -> bool {
    (default / exact - 1.0).abs() <= PERPLEXITY
}

/// Exact answers, which are the same on every device, are the CPU's.
fn check_default(file: &str, runtime: &Runtime, windows: usize, tokens: usize) {
    let cpu = devices::cpu(Level::best(), None);
    let (Some(exact), Some(default)) = (open(file, &cpu, true), open(file, runtime, false)) else { return };
    let (exact, default) = (perplexity(&exact, windows, tokens), perplexity(&default, windows, tokens));
    let what = format!("{file} on {}: perplexity {exact:.4} exact, {default:.4} by default", runtime.info().name);
    eprintln!("{what}");
    assert!(exact > 1.0 && exact < 100.0, "the model does not know this text: {what}");
    assert!(close(exact, default), "{what}");
}

/// SIMD levels add the same integers, so one of them stands for all.
#[test]
fn default_paths_keep_the_perplexity_on_the_cpu() {
    let best = devices::cpu(Level::best(), None);
    check_default(SMOLLM2, &best, 2, 512);
    check_default(GEMMA3, &best, 2, 512);
}

/// Gemma 3's 262144 logits a row take minutes there, and its greedy tokens are compared anyway.
#[test]
fn default_paths_keep_the_perplexity_on_a_software_gpu() {
    if let Some(gpu) = devices::gpu_runtime() {
        check_default(SMOLLM2, &gpu, 1, 256);
    }
}

/// By hand (`--ignored`), for each level's kernels are compiled: the default level is what the tests above take. Levels with
/// narrow activations are not exact, so they answer for their perplexity.
#[test]
#[ignore = "minutes a level, run by hand"]
#[cfg(feature = "gpu")]
fn smollm2_on_every_level_of_a_software_gpu() {
    use gabion::device::gpu::{GpuOptions, Level};
    for &level in Level::ALL {
        let Some(gpu) = devices::gpu_at(level, GpuOptions::default()) else { continue };
        let runtime = Runtime::from_device(gpu);
        eprintln!("level {}", level.name());
        match level.is_exact() {
            true => check(SMOLLM2, "golden/smollm2.json", &runtime, SOME),
            false => check_default(SMOLLM2, &runtime, 1, 256),
        }
    }
}

/// A perturbed answer fails each comparison.
#[test]
fn the_comparisons_can_fail() {
    let norm = gabion::sample::log_sum_exp(&[1.0, 3.0, 2.0]) as f32;
    let step = Step { id: 1, top: vec![(1, 3.0 - norm), (2, 2.0 - norm)] };
    assert_eq!(step_off(&step, &[1.0, 3.0, 2.0]), None);
    assert_eq!(step_off(&step, &[2.0, 4.0, 3.0]), None, "a shift changes no probability");
    for wrong in [[1.0, 3.0, 2.01], [1.0, 3.02, 2.0], [1.0, f32::NAN, 2.0], [3.5, 3.0, 2.0]] {
        assert!(step_off(&step, &wrong).is_some(), "{wrong:?}");
    }
    assert!(largest_off(&[1.0, 2.0], &[1.0, 2.0021]) > TOLERANCE);
    assert!(largest_off(&[1.0, 2.0], &[1.0]) > TOLERANCE);
    assert!(largest_off(&[1.0], &[f32::NAN]) > TOLERANCE);
    assert!(close(20.0, 20.09) && !close(20.0, 20.11) && !close(20.0, 19.89) && !close(20.0, f64::NAN));
}
