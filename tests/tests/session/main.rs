//! Sessions: the same context gives the same logits however it came about, and every way out leaves a session usable.

mod cancel;
mod generate;
mod limits;
mod memory;
mod picks;
mod recurrent;
mod reuse;
mod saved;
mod threads;

use std::sync::OnceLock;

use gabion::device::cpu::Level;
use gabion::{KvType, Model, ModelOptions, Runtime, Session, SessionOptions};
use gabion_tests::alloc::Counting;
use gabion_tests::golden::nmse;
use gabion_tests::toy::{self};
use gabion_tests::{devices, tiny_model};

#[global_allocator]
static ALLOC: Counting = Counting;

/// Kernels for many rows may add in another order than those for one.
const ROUNDING: f64 = 1e-9;
/// Where activations are rounded to int8 and the cache to f16, such a difference can tip a value over a rounding edge.
const COARSE_ROUNDING: f64 = 1e-6;

/// A model on a device.
struct Subject {
    name: String,
    model: Model,
    /// How far apart (NMSE) the same work may come out when it is cut up otherwise: 0 on the reference, to the bit.
    tolerance: f64,
}

/// A CPU runtime of the fastest level.
fn cpu() -> Runtime {
    devices::cpu(Level::best(), Some(2))
}

/// The toys on the scalar reference, on the fastest CPU level and on a software GPU, in exact and in default mode.
fn subjects() -> &'static [Subject] {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        let reference = devices::cpu(Level::Reference, Some(2));
        let runtimes = [("reference", Some(reference)), ("fastest", Some(cpu())), ("GPU", devices::gpu_runtime())];
        let present = runtimes.into_iter().filter_map(|(device, runtime)| Some((device, runtime?)));
        present.flat_map(|(device, runtime)| on(device, &runtime)).collect()
    })
}

fn on(device: &str, runtime: &Runtime) -> Vec<Subject> {
    let mut all = Vec::new();
    for (arch, toy) in [("llama", toy::llama()), ("gemma3", toy::gemma3()), ("qwen35", toy::qwen35())] {
        for (mode, exact, rounding) in [("exact", true, ROUNDING), ("default", false, COARSE_ROUNDING)] {
            let tolerance = if device == "reference" { 0.0 } else { rounding };
            if arch == "qwen35" && !exact {
                continue; // its own ops have one precision
            }
            let model = toy.load(runtime, &ModelOptions { exact, ..Default::default() }).unwrap();
            all.push(Subject { name: format!("{arch}, {mode}, {device}"), model, tolerance });
        }
    }
    let options = ModelOptions { exact: true, ..Default::default() };
    let model = Model::open(&tiny_model("rwkv7").unwrap(), runtime, &options, &mut |_| true).unwrap();
    let tolerance = if device == "reference" { 0.0 } else { ROUNDING };
    all.push(Subject { name: format!("rwkv7, exact, {device}"), model, tolerance });
    all
}

impl Subject {
    fn session(&self, n_ctx: usize, n_batch: usize) -> Session {
        session(&self.model, n_ctx, n_batch)
    }

    /// Logits after `tokens` in a session of its own.
    fn fresh(&self, tokens: &[u32], n_batch: usize) -> Vec<f32> {
        let mut session = self.session(128, n_batch);
        session.sync(tokens).unwrap();
        session.logits().to_vec()
    }

    /// Whether two answers to the same question are the same.
    fn same(&self, wanted: &[f32], got: &[f32]) -> bool {
        if self.tolerance == 0.0 { bits(wanted) == bits(got) } else { nmse(wanted, got) <= self.tolerance }
    }

    fn assert_same(&self, wanted: &[f32], got: &[f32], what: &str) {
        assert!(self.same(wanted, got), "{}, {what}: NMSE {:.1e}", self.name, nmse(wanted, got));
    }

    /// Asserts that a session's logits are those of a fresh session with its context.
    fn assert_fresh(&self, session: &Session, what: &str) {
        self.assert_same(&self.fresh(session.tokens(), 0), session.logits(), what);
    }
}

fn session(model: &Model, n_ctx: usize, n_batch: usize) -> Session {
    model.session(&SessionOptions { n_ctx, n_batch, kv: None }).unwrap()
}

/// Some tokens, all different in their neighbourhood.
fn tokens(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| (i * 37 + i * i % 11) % 250).collect()
}

fn bits(logits: &[f32]) -> Vec<u32> {
    logits.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn the_comparison_can_fail() {
    for subject in subjects() {
        let (a, mut b) = (tokens(20), tokens(20));
        b[3] += 1;
        let logits = subject.fresh(&a, 0);
        assert!(!subject.same(&logits, &subject.fresh(&b, 0)), "{}: a token in the prompt must matter", subject.name);
        assert!(logits.iter().any(|&x| x != logits[0]) && logits.iter().all(|&x| x.is_finite()));
        let mut perturbed = logits.clone();
        perturbed[7] += 0.1;
        assert!(!subject.same(&logits, &perturbed), "{}", subject.name);
    }
}

#[test]
fn devices_agree() {
    for arch in ["llama", "gemma3", "qwen35", "rwkv7"] {
        let exact: Vec<_> = subjects().iter().filter(|s| s.name.starts_with(&format!("{arch}, exact"))).collect();
        for other in &exact[1..] {
            let off = nmse(&exact[0].fresh(&tokens(50), 0), &other.fresh(&tokens(50), 0));
            assert!(off < ROUNDING, "{} and {}: {off:.1e}", exact[0].name, other.name);
        }
    }
}

#[test]
fn a_cache_of_either_type_is_close() {
    // RWKV has none
    let cached = |subject: &&Subject| subject.name.contains("exact") && !subject.name.starts_with("rwkv");
    for subject in subjects().iter().filter(cached) {
        let logits = |kv| {
            let mut session = subject.model.session(&SessionOptions { kv: Some(kv), ..Default::default() }).unwrap();
            session.sync(&tokens(40)).unwrap();
            session.logits().to_vec()
        };
        let off = nmse(&logits(KvType::F32), &logits(KvType::F16));
        assert!(off > 0.0 && off < 1e-4, "{}: {off}", subject.name);
        let [fine, coarse] = [KvType::Q8_0, KvType::Q4_0].map(|kv| nmse(&logits(KvType::F32), &logits(kv)));
        assert!(off < fine && fine < 1e-3 && fine < coarse && coarse < 0.2, "{}: {fine}, {coarse}", subject.name);
    }
}
