//! Candidates picked on a GPU are those that the sampler finds in all logits: tests/cases/pick.toml.

use std::sync::Arc;

use gabion::device::gpu::{Gpu, GpuOptions};
use gabion::device::{
    Batch, CancelFlag, Candidates, Device, KvType, Outputs, Precision, State, StateOptions, Step, Texts,
};
use gabion::graph::{BufId, Buffer, Cap, Linear, Lookup, Op, Plan, Weight, WeightId};
use gabion::quant::TensorType;
use gabion::sample::{Rng, argmax, log_sum_exp};
use gabion_tests::devices::gpu;
use serde::Deserialize;

const TOPS: &[usize] = &[1, 2, 40, 256];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Cases>,
}

/// Every kind at every size.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    n_vocab: Vec<usize>,
    kind: Vec<String>,
    cap: Option<f32>,
}

fn logits(kind: &str, n: usize) -> Vec<f32> {
    let mut rng = Rng::new(n as u64);
    let mut random = || (20.0 * (rng.next_f64() - 0.5)) as f32;
    let value = |i: usize| match kind {
        "random" => random(),
        "equal" => 1.5,
        "few_values" => random().round() / 4.0,
        "falling" => -(i as f32) / 8.0,
        "rising" => i as f32 / 8.0 - 9.0,
        "some_nan" => [random(), f32::NAN][usize::from(i % 7 == 3)],
        "mostly_nan" => [f32::NAN, random()][usize::from(i % 60 == 3)],
        "low_infinities" => [f32::NEG_INFINITY, random()][usize::from(i % 60 == 3)],
        "high_infinity" => [random(), f32::INFINITY][usize::from(i == n / 2)],
        "tiny" => random() * 1e-30,
        other => panic!("no kind is called {other}"),
    };
    (0..n).map(value).collect()
}

/// Logits, softcapped if there is a cap, are the first column of a matrix.
fn state(gpu: &Arc<Gpu>, logits: &[f32], cap: Option<f32>) -> Box<dyn State> {
    const COLS: usize = 32;
    let n_vocab = logits.len();
    let weight = |rows, offset| {
        let (name, ty) = (format!("{offset}"), TensorType::F32);
        Weight { name, ty, rows, experts: 1, cols: COLS, shard: 0, offset, matrix: true }
    };
    let row = |first: f32| (0..COLS).map(move |c| if c == 0 { first } else { 0.0 }).flat_map(f32::to_le_bytes);
    let linears = vec![Linear { weight: WeightId(1), bias: None }];
    let mut head = vec![Op::MatMul { linears, x: BufId(0), add: None, out: BufId(1) }];
    head.extend(cap.map(|cap| Op::Scale { x: BufId(1), factor: 1.0, by: None, cap: Some(Cap::Soft(cap)) }));
    let plan = Arc::new(Plan {
        encoder: Vec::new(),
        body: vec![Op::Embed { table: WeightId(0), by: Lookup::Token, scale: 1.0, add: false, out: BufId(0) }],
        head,
        hidden: BufId(0),
        logits: BufId(1),
        buffers: vec![Buffer { width: COLS, slot: 0 }, Buffer { width: n_vocab, slot: 1 }],
        slots: vec![COLS, n_vocab],
        weights: vec![weight(1, 0), weight(n_vocab, 4 * COLS as u64)],
        layers: vec![],
        states: vec![],
        ropes: vec![],
        eps: 1e-6,
        n_embd: COLS,
        n_vocab,
        texts: false,
    });
    let mut loader = gpu.clone().loader(plan, Precision::Exact).unwrap();
    loader.rows(WeightId(0), 0, &row(1.0).collect::<Vec<u8>>()).unwrap();
    let matrix: Vec<u8> = logits.iter().flat_map(|&logit| row(logit)).collect();
    loader.rows(WeightId(1), 0, &matrix).unwrap();
    let options = StateOptions { n_ctx: 64, max_batch: 8, max_outputs: 1, kv: KvType::F32 };
    pollster::block_on(loader.finish()).unwrap().state(&options).unwrap()
}

/// All logits after token 0, as `run` reads them.
fn read(state: &mut dyn State) -> Vec<f32> {
    let mut logits = Vec::new();
    let batch = Batch { tokens: &[0], pos: 0, outputs: Outputs::Last, texts: Texts::default() };
    pollster::block_on(state.run(batch, &CancelFlag::default(), &mut logits)).unwrap();
    logits
}

fn pick(state: &mut dyn State, top: usize) -> Candidates {
    let step = Step { token: 0, pos: 0, top, log_sum: true, ahead: 0 };
    let mut picked = Candidates::default();
    let picker = state.picker().expect("a GPU picks");
    pollster::block_on(picker.step(step, &CancelFlag::default(), &mut picked)).unwrap();
    picked
}

/// What is wrong with candidates for `top` of these logits.
fn wrong(picked: &Candidates, logits: &[f32], top: usize) -> Option<String> {
    let mut ranked: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).filter(|c| !c.1.is_nan()).collect();
    ranked.sort_by(|a, b| b.1.partial_cmp(&a.1).unwrap().then(a.0.cmp(&b.0)));
    let same = |a: &(u32, f32), b: &(u32, f32)| a.0 == b.0 && (a.1 == b.1);
    let missing = ranked.iter().take(top).find(|want| !picked.tokens.iter().any(|got| same(got, want)));
    let strange = picked.tokens.iter().find(|got| !(logits[got.0 as usize] == got.1));
    let mut ids: Vec<u32> = picked.tokens.iter().map(|c| c.0).collect();
    ids.sort_unstable();
    ids.dedup();
    let few = ids.len() == picked.tokens.len() && ids.len() <= 256;
    let best = ranked.first().is_none_or(|best| best.0 == picked.best && argmax(logits).is_none_or(|id| id == best.0));
    let want = log_sum_exp(logits);
    let sum = !want.is_finite() || (picked.log_sum - want).abs() < 2e-5 * want.abs().max(1.0);
    match (missing, strange) {
        (None, None) if few && best && sum => None,
        _ => Some(format!(
            "missing {missing:?}, strange {strange:?}, {} candidates, best {}, log sum {} for {want}",
            picked.tokens.len(),
            picked.best,
            picked.log_sum
        )),
    }
}

fn check(gpu: &Arc<Gpu>) {
    let file: File = toml::from_str(include_str!("../cases/pick.toml")).unwrap();
    let mut found = Vec::new();
    for case in &file.case {
        for (kind, &n) in case.kind.iter().flat_map(|kind| case.n_vocab.iter().map(move |n| (kind, n))) {
            let mut state = state(gpu, &logits(kind, n), case.cap);
            let logits = read(&mut *state);
            for &top in TOPS {
                let problem = wrong(&pick(&mut *state, top), &logits, top);
                found.extend(problem.map(|problem| format!("{kind} {n}, top {top}: {problem}")));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn candidates_are_the_likeliest() {
    gpu(GpuOptions::default()).iter().for_each(check);
}

#[test]
fn candidates_are_the_likeliest_in_hardware_shapes() {
    gpu(GpuOptions { hardware_shapes: true, default_limits: true, ..Default::default() }).iter().for_each(check);
}

#[test]
fn the_comparison_can_fail() {
    let logits = [1.0, 3.0, 3.0, 2.0, f32::NAN];
    let good =
        Candidates { tokens: vec![(2, 3.0), (1, 3.0), (3, 2.0)], best: 1, log_sum: log_sum_exp(&logits), written: 1 };
    assert_eq!(wrong(&good, &logits, 3), None);
    assert!(wrong(&good, &logits, 4).is_some());
    for (tokens, best, off) in [
        (vec![(1, 3.0), (2, 3.0), (0, 1.0)], 1, 0.0),
        (vec![(1, 3.0), (2, 3.0), (3, 2.1)], 1, 0.0),
        (vec![(1, 3.0), (2, 3.0), (3, 2.0), (3, 2.0)], 1, 0.0),
        (good.tokens.clone(), 2, 0.0),
        (good.tokens.clone(), 1, 1e-3),
    ] {
        let bad = Candidates { tokens, best, log_sum: good.log_sum + off, written: 1 };
        assert!(wrong(&bad, &logits, 3).is_some(), "{bad:?}");
    }
}
