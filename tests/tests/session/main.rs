//! Sessions: the same context gives the same logits however it came about, and every way out leaves a session usable.

mod cancel;
mod generate;
mod gpu;
mod limits;
mod reuse;
mod threads;

use gabion::device::cpu::Level;
use gabion::{KvType, Model, ModelOptions, Runtime, Session, SessionOptions};
use gabion_tests::devices;
use gabion_tests::toy::{self, Toy};

/// A CPU runtime of the fastest level.
fn cpu() -> Runtime {
    devices::cpu(Level::best(), Some(2))
}

/// The toys on the CPU, in exact mode and in the default one.
fn models() -> Vec<(&'static str, Model)> {
    let load = |toy: Toy, exact| toy.load(&cpu(), &ModelOptions { exact }).unwrap();
    vec![
        ("llama, exact", load(toy::llama(), true)),
        ("gemma3, exact", load(toy::gemma3(), true)),
        ("llama, default", load(toy::llama(), false)),
        ("gemma3, default", load(toy::gemma3(), false)),
    ]
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

/// Logits after `tokens` in a session of its own.
fn fresh(model: &Model, tokens: &[u32], n_batch: usize) -> Vec<u32> {
    let mut session = session(model, 128, n_batch);
    session.sync(tokens).unwrap();
    bits(session.logits())
}

#[test]
fn the_comparison_can_fail() {
    for (name, model) in models() {
        let (a, mut b) = (tokens(20), tokens(20));
        b[3] += 1;
        assert_ne!(fresh(&model, &a, 0), fresh(&model, &b, 0), "{name}: a token in the prompt must matter");
        let logits = fresh(&model, &a, 0);
        assert!(logits.iter().any(|&x| x != logits[0]) && logits.iter().all(|&x| f32::from_bits(x).is_finite()));
    }
}

#[test]
fn a_cache_of_either_type_is_close() {
    let model = toy::llama().load(&cpu(), &ModelOptions { exact: true }).unwrap();
    let logits = |kv| {
        let mut session = model.session(&SessionOptions { kv: Some(kv), ..Default::default() }).unwrap();
        session.sync(&tokens(40)).unwrap();
        session.logits().to_vec()
    };
    let off = gabion_tests::golden::nmse(&logits(KvType::F32), &logits(KvType::F16));
    assert!(off > 0.0 && off < 1e-4, "{off}");
}
